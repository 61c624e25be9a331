"""What is going on now."""
