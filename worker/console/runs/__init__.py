"""The pages "Runs": a list, and the life of one run."""
