"""The protocol as a model for spin."""
