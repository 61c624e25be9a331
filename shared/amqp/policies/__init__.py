"""Policies of RabbitMQ that hold for our queues, and what they do to commands."""
