-- Which processes a pid means depends on the pid namespace: containers of one machine share its
-- boot, and not its pids. Null: recorded by a version that did not look.
ALTER TABLE runs
    ADD COLUMN pid_namespace text,
    -- Tells the run's cgroup from another one at the same path of another mount or namespace.
    ADD COLUMN cgroup_inode bigint,
    -- The deadline that a stop began with, where force has moved it.
    ADD COLUMN first_stop_deadline timestamptz,
    ADD CONSTRAINT a_moved_deadline_is_earlier CHECK (
        first_stop_deadline IS NULL
        OR (stop_deadline IS NOT NULL AND stop_deadline < first_stop_deadline)
    ),
    DROP CONSTRAINT error_has_its_cause,
    ADD CONSTRAINT error_has_its_cause CHECK (
        loss IS NULL OR (status = 'error' AND coalesce(loss ->> 'cause', '') IN (
            'launcher_died', 'host_rebooted', 'host_abandoned', 'container_lost'))
    ),
    -- A stop that was given up with its host or its container keeps its deadline.
    DROP CONSTRAINT a_stop_has_one_deadline,
    ADD CONSTRAINT a_stop_has_one_deadline CHECK (
        (stop_deadline IS NULL) = (canceling_at IS NULL)
        AND CASE status
            WHEN 'canceling' THEN stop_deadline IS NOT NULL
            WHEN 'canceled' THEN (stop_deadline IS NOT NULL) = (host IS NOT NULL)
            WHEN 'error' THEN stop_deadline IS NULL
                              OR loss ->> 'cause' IN ('host_abandoned', 'container_lost')
            ELSE stop_deadline IS NULL
        END
    );

ALTER TABLE hosts
    -- That of the worker which speaks for it.
    ADD COLUMN pid_namespace text,
    -- What that worker found that it can see and signal.
    ADD COLUMN privileges jsonb CHECK (jsonb_typeof(privileges) = 'object');

ALTER TABLE host_actions
    DROP CONSTRAINT host_actions_action_check,
    ADD CONSTRAINT host_actions_action_check CHECK (
        action IN ('rebooted', 'abandoned', 'returned', 'container_lost')
    );

ALTER TABLE cancellations
    DROP CONSTRAINT cancellations_outcome_check,
    ADD CONSTRAINT cancellations_outcome_check CHECK (
        outcome IN ('canceled', 'no_op', 'forced', 'stop_failed', 'leftovers_stopped',
                    'abandoned', 'not_proved')
    );
