"""What the demo checks its claims by."""
