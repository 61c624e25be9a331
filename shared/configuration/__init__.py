"""Settings, and the kinds of values that they have."""
