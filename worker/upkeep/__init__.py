"""Upkeep: old records are pruned and archived, hosts that left are forgotten."""
