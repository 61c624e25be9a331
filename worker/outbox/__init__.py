"""What happened, told to whoever listens: from the outbox in Postgres to `runs.events`."""
