"""RabbitMQ: connections that are kept up, publisher confirms, and all names that are declared."""
