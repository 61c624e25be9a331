"""The Docker socket for jobs: passes the engine's API on and marks what a run starts as its own."""
