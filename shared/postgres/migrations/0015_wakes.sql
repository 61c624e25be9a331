-- Since when the host's worker is one that is woken (exchange runs.wake) and wakes others; null: it is
-- of a version before, and forwards commands of other hosts into their queues; -infinity: the host
-- never had such a worker, or that had stopped.
ALTER TABLE hosts ADD COLUMN wakes_since timestamptz;
