"""A large installation: many runs on record, many hosts, and one that returns to much work."""
