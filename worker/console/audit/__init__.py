"""The page "Audit": who did what, when, to what."""
