"""Tracing: off by default, and then without cost; on, by OpenTelemetry."""
