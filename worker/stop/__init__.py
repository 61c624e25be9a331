"""Stopping a run's process tree, proving that it is gone, and recording that."""
