"""Runs, as the API shows them, and waiting for their end."""
