"""Dead letters: kept in Postgres, looked at, replayed, discarded."""
