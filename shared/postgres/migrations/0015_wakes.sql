-- Whether the host's worker is woken (exchange runs.wake), and wakes others. One that does not is of
-- a version before, and forwards commands of other hosts into their queues.
ALTER TABLE hosts ADD COLUMN wakes boolean NOT NULL DEFAULT false;
