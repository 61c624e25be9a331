"""Processes: identity, cgroups, scans, privileges."""
