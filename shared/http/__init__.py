"""HTTP for both programs: connections with limits, serving, stopping, health checks."""
