-- The machines that runs are on. At most one worker speaks for a host at a time.
CREATE TABLE hosts (
    host         text PRIMARY KEY,
    -- The worker process that speaks for it; null once the host was abandoned.
    worker_id    uuid,
    boot_id      uuid NOT NULL,
    -- Another one is another machine of the same name, and no reboot. Containers often have none.
    machine_id   text,
    beat_seconds double precision NOT NULL CHECK (beat_seconds > 0),
    seen_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When its worker said that it ends.
    left_at      timestamptz,
    abandoned_at timestamptz,
    CONSTRAINT nobody_speaks_for_an_abandoned_host CHECK (
        abandoned_at IS NULL OR (worker_id IS NULL AND left_at IS NULL)
    )
);

-- What became of a host. Nothing is taken away from here.
CREATE TABLE host_actions (
    action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host      text NOT NULL REFERENCES hosts,
    action    text NOT NULL CHECK (action IN ('rebooted', 'abandoned', 'returned')),
    done_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_by   text NOT NULL,
    reason    text CHECK (length(reason) BETWEEN 1 AND 255),
    -- The runs whose record changed with it.
    run_ids   bigint[] NOT NULL,
    CONSTRAINT abandoned_for_a_reason CHECK (action <> 'abandoned' OR reason IS NOT NULL)
);

CREATE INDEX host_actions_by_host ON host_actions (host, action_id);

INSERT INTO hosts (host, boot_id, beat_seconds, seen_at)
SELECT DISTINCT ON (host) host, boot_id, 5, started_at
  FROM runs
 WHERE host IS NOT NULL
 ORDER BY host, started_at DESC;

-- How a run was lost, and how far it is proved that nothing of it is left.
ALTER TABLE runs ADD COLUMN loss jsonb CHECK (jsonb_typeof(loss) = 'object');
UPDATE runs
   SET loss = jsonb_build_object(
           'cause',
           CASE WHEN error LIKE '%rebooted%' THEN 'host_rebooted' ELSE 'launcher_died' END,
           -- What they left was killed at the time, and their hosts may be gone: a cancel need
           -- not wait for them.
           'proof', 'not_recorded'
       )
 WHERE status = 'error';
ALTER TABLE runs
    ADD CONSTRAINT error_has_its_cause CHECK (
        -- Without a cause: lost to a worker of the version before, which runs on while this
        -- is applied.
        loss IS NULL OR (status = 'error' AND coalesce(loss ->> 'cause', '') IN (
            'launcher_died', 'host_rebooted', 'host_abandoned'))
    ),
    -- A stop that an operator gave up with its host keeps its deadline.
    DROP CONSTRAINT a_stop_has_one_deadline,
    ADD CONSTRAINT a_stop_has_one_deadline CHECK (
        (stop_deadline IS NULL) = (canceling_at IS NULL)
        AND CASE status
            WHEN 'canceling' THEN stop_deadline IS NOT NULL
            WHEN 'canceled' THEN (stop_deadline IS NOT NULL) = (host IS NOT NULL)
            WHEN 'error' THEN stop_deadline IS NULL OR loss ->> 'cause' = 'host_abandoned'
            ELSE stop_deadline IS NULL
        END
    );

-- Lost runs of which something may be left.
CREATE INDEX runs_unproved_by_host ON runs (host)
    WHERE status = 'error' AND loss ->> 'proof' IS NULL;

ALTER TABLE cancellations
    DROP CONSTRAINT cancellations_outcome_check,
    ADD CONSTRAINT cancellations_outcome_check CHECK (
        outcome IN ('canceled', 'no_op', 'stop_failed', 'leftovers_stopped', 'abandoned')
    ),
    DROP CONSTRAINT canceled_is_proved,
    ADD CONSTRAINT a_stop_is_proved CHECK (
        outcome IS NULL OR outcome NOT IN ('canceled', 'leftovers_stopped')
        OR evidence ->> 'proof' IS NOT NULL
    );
