"""`make bench`: how fast this is, against the limit and against what people use instead.

`system` starts real programs on real services, `load` is the client, `raw` and `peers` hold what we
are measured against, each module of `measures` yields some rows of the table.
"""
