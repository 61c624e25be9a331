"""Metrics and traces of the gateway, and metrics from Postgres and RabbitMQ."""
