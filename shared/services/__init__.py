"""What Postgres and RabbitMQ have in common: waiting for them, checks, reasons for failures."""
