"""What the demo shows, one run after the other."""
