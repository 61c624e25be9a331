ALTER TABLE runs
    -- The cgroup parent of the containers that the run has started. Null until it asks for one.
    ADD COLUMN containers_in      text CHECK (length(containers_in) BETWEEN 1 AND 4096),
    -- Whether they, their networks and that cgroup were removed when the run was over.
    ADD COLUMN containers_removed boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT containers_by_a_process CHECK (containers_in IS NULL OR host IS NOT NULL),
    DROP CONSTRAINT runs_proof_check,
    ADD CONSTRAINT runs_proof_check CHECK (
        proof IN ('never_started', 'cgroup_empty', 'scans_empty', 'engine_reported',
                  'host_rebooted', 'not_recorded')
    ),
    ADD CONSTRAINT engine_has_reported_of_containers CHECK (
        proof IS DISTINCT FROM 'engine_reported' OR containers_in IS NOT NULL
    );

CREATE INDEX runs_with_containers ON runs (host)
    WHERE containers_in IS NOT NULL AND NOT containers_removed;
