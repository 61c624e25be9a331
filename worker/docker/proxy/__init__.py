"""The worker's Docker socket: passes the engine's API on, and marks what a run starts as its own."""
