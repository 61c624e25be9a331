"""`make demo` and `make up`: the whole system at work, for a first look."""
