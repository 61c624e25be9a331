"""What was measured, as JSON, text and pictures."""
