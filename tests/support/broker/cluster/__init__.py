"""The system on a cluster of brokers, and drills on it."""
