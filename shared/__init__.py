"""What gateway and worker agree on: the command, the names, the states and the rows."""
