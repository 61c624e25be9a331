"""What this worker has recorded lately, in case a failover of Postgres undoes it."""
