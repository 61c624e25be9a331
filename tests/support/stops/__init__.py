"""Stops of real process trees, and what is in their way."""
