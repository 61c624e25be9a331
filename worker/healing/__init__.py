"""Records again what a failover of Postgres has undone, as far as this worker remembers it."""
