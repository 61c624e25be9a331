"""Runs as `cancel-worker runs` shows them."""
