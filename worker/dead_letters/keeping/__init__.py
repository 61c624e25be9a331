"""Dead letters come from RabbitMQ into Postgres."""
