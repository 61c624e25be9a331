-- What a run is registered with, besides its grace period and its stop signal.
ALTER TABLE runs
    -- Which processes get the stop signal: the whole tree, or its leader alone.
    ADD COLUMN stop_scope   text NOT NULL DEFAULT 'tree' CHECK (stop_scope IN ('tree', 'leader')),
    -- What happens to the processes that the command leaves behind when it ends by itself.
    ADD COLUMN leftovers    text NOT NULL DEFAULT 'stop' CHECK (leftovers IN ('stop', 'keep')),
    -- Which they were, and what became of them. Without a proof, some may be alive.
    ADD COLUMN left_behind  jsonb CHECK (jsonb_typeof(left_behind) = 'object'),
    ADD COLUMN labels       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    -- The run's page on the platform.
    ADD COLUMN url          text CHECK (length(url) <= 2048),
    -- Not started by then, the run is canceled.
    ADD COLUMN start_before timestamptz,
    -- Whether it was.
    ADD COLUMN expired      boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT left_behind_by_a_process CHECK (left_behind IS NULL OR host IS NOT NULL),
    ADD CONSTRAINT expired_before_it_started CHECK (
        NOT expired OR (status = 'canceled' AND host IS NULL AND start_before IS NOT NULL)
    );

CREATE INDEX runs_to_expire ON runs (start_before)
    WHERE status = 'queued' AND start_before IS NOT NULL;
CREATE INDEX runs_with_leftovers ON runs (host)
    WHERE status IN ('pass', 'fail') AND left_behind IS NOT NULL
      AND left_behind ->> 'proof' IS NULL;
CREATE INDEX runs_by_host ON runs (host, run_id) WHERE host IS NOT NULL;

-- The labels of `runs`, for lookups: each as `key:value`, newest run first. A GIN index would be
-- written with each change of a status, and has no order.
CREATE TABLE run_labels (
    label  text NOT NULL,
    run_id bigint NOT NULL,
    PRIMARY KEY (label, run_id)
);

ALTER TABLE tokens
    DROP CONSTRAINT tokens_scopes_check,
    ADD CONSTRAINT tokens_scopes_check CHECK (
        scopes <@ ARRAY['runs:read', 'runs:write', 'runs:force', 'runs:register', 'runs:bulk']
    ),
    ADD COLUMN register_limit integer CHECK (register_limit >= 1);
ALTER TABLE rate_windows
    DROP CONSTRAINT rate_windows_budget_check,
    ADD CONSTRAINT rate_windows_budget_check
        CHECK (budget IN ('read', 'write', 'register', 'anonymous'));
