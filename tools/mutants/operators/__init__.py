"""What a plausible mistake is, in Python and in SQL."""
