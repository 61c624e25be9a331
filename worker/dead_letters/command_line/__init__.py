"""`cancel-worker dead-letters`."""
