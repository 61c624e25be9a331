"""Dead letters: stored in Postgres, shown, replayed, discarded."""
