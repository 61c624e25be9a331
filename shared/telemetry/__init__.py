"""Tracing with OpenTelemetry. Off by default, and then without cost."""
