"""The pages "Dead letters": found, shown, edited, replayed and discarded."""
