"""Processes as the kernel shows them: identity, cgroups, scans, privileges."""
