"""Commands on record without an outcome: taken up by the worker of the run's host."""
