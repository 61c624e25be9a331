"""Copies of the checkout, and tests that are run there."""
