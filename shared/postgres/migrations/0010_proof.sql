-- Why it may be said of a canceled run that nothing of it is left: held here too, not only with the
-- command that ended it.
ALTER TABLE runs ADD COLUMN proof text;

-- Of the command that ended it. Without one, a run that never had a process tells by itself why
-- nothing is left of it; of any other nobody can say it any more.
UPDATE runs r
   SET proof = CASE WHEN r.host IS NULL THEN 'never_started' ELSE coalesce((
           SELECT evidence ->> 'proof'
             FROM cancellations c
            WHERE c.run_id = r.run_id AND outcome = 'canceled'
              AND evidence ->> 'proof' IN ('cgroup_empty', 'scans_empty', 'host_rebooted')
            ORDER BY received_at, command_id
            LIMIT 1
       ), 'not_recorded') END
 WHERE status = 'canceled';

ALTER TABLE runs
    ADD CONSTRAINT runs_proof_check CHECK (
        proof IN ('never_started', 'cgroup_empty', 'scans_empty', 'host_rebooted', 'not_recorded')
    ),
    ADD CONSTRAINT canceled_exactly_with_proof CHECK (
        (proof IS NOT NULL) = (status = 'canceled')
    ),
    ADD CONSTRAINT never_started_without_process CHECK (
        proof IS NULL OR (proof = 'never_started') = (host IS NULL)
    ),
    -- A run that was put into no cgroup has none that could be empty.
    ADD CONSTRAINT cgroup_was_there_to_be_empty CHECK (
        proof IS NULL OR proof <> 'cgroup_empty' OR containment = 'cgroup'
    );

-- Keepers take turns on this row. An advisory lock would do, but everybody may take one.
CREATE TABLE turns (name text PRIMARY KEY);
INSERT INTO turns (name) VALUES ('keeper');
