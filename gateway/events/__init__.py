"""The events of runs and cancels as streams: GET /api/v1/events."""
