"""Code that gateway and worker share: the command, the names, the states and the rows."""
