"""Rows of runs, hosts and dead letters, and their parts."""
