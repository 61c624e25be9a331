"""The outbox: publishes events from Postgres to `runs.events`, and dead letters of failed stops."""
