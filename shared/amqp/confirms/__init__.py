"""A confirm for each message: `plain` as aiormq does it, `joined` with less work for each."""
