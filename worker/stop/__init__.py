"""Stopping a run's process tree and proving that it is gone."""
