"""The floors: the least that a program must do to get the same work done. One process each."""
