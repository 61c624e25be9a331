"""Messages: received, read as commands, and published again with headers of ours."""
