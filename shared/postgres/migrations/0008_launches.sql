-- A process is the leader of one run. As that of a second one it would be moved to that one's
-- cgroup, and the first would be found empty. Null: recorded by a version that did not look.
CREATE UNIQUE INDEX runs_by_leader ON runs (boot_id, pid_namespace, pid, start_ticks)
 WHERE pid_namespace IS NOT NULL;

-- When it was noticed that a running run's command had ended, though its launcher lives and has not
-- said how. A launcher that is stopped (SIGSTOP) leaves that so until it is continued.
ALTER TABLE runs ADD COLUMN unreported_since timestamptz;
