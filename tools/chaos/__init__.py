"""Everything broken at random, by a seed, and every promise checked afterwards from outside.

    plan ─▶ system (servers, proxies, programs) ─▶ load ∥ faults ─▶ settle ─▶ checks ─▶ report

The driver writes down all that it does; the checks read that log, Postgres, the broker's queues
and /proc, and nothing of the programs' own code but shared names.
"""
