"""Copies of what is on record of launches, kept where they live as long as the launches."""
