"""The upgrade from an earlier revision, tried with real programs, jobs and messages."""
