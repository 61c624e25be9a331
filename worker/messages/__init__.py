"""Messages: received, parsed as commands, and published again with our headers."""
