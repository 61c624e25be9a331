"""RabbitMQ: connections that reconnect, publisher confirms, and the topology."""
