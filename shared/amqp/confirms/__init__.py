"""Publisher confirms: `plain` uses aiormq's own, `joined` costs less per message."""
