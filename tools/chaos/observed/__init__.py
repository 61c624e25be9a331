"""What the checks know of a round, seen from outside."""
