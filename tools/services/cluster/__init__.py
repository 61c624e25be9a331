"""Three RabbitMQ nodes that form a cluster: of this machine's broker, or of the image's."""
