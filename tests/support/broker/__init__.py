"""RabbitMQ: messages, users, queues, and those who listen."""
