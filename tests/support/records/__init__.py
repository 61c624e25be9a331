"""Rows of runs, hosts and dead letters."""
