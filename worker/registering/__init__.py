"""Runs are registered by messages."""
