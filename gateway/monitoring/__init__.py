"""Metrics and traces of the gateway, and of what Postgres and RabbitMQ know."""
