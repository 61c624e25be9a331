"""Dead letters go back to RabbitMQ, and what becomes of them."""
