"""What a round does to the system: runs, cancels over REST, commands published directly."""
