"""Metrics and traces as other programs read them."""
