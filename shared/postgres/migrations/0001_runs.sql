CREATE TABLE runs (
    run_id       bigint PRIMARY KEY CHECK (run_id >= 1),
    status       text NOT NULL DEFAULT 'queued' CHECK (
        status IN ('queued', 'running', 'canceling', 'pass', 'fail', 'canceled', 'error')
    ),
    grace_seconds double precision CHECK (grace_seconds BETWEEN 0 AND 600),
    stop_signal  text NOT NULL DEFAULT 'SIGTERM' CHECK (
        stop_signal IN ('SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2')
    ),
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    canceling_at timestamptz,
    finished_at  timestamptz,

    -- The process, as the kernel tells one from another: never a pid alone.
    host         text,
    boot_id      uuid,
    pid          integer CHECK (pid > 1),
    start_ticks  bigint,
    launcher_pid integer CHECK (launcher_pid > 1),
    launcher_start_ticks bigint,
    uid          bigint,
    launch_id    uuid UNIQUE,
    containment  text CHECK (containment IN ('cgroup', 'session')),
    cgroup       text,

    stop_deadline timestamptz,
    exit_code    integer CHECK (exit_code BETWEEN 0 AND 255),
    error        text,

    CONSTRAINT identity_is_whole CHECK (
        num_nulls(started_at, host, boot_id, pid, start_ticks, launcher_pid,
                  launcher_start_ticks, uid, launch_id, containment) IN (0, 10)
    ),
    CONSTRAINT cgroup_is_named CHECK (
        (cgroup IS NOT NULL) = (containment IS NOT NULL AND containment = 'cgroup')
    ),
    CONSTRAINT queued_has_no_process CHECK (status <> 'queued' OR host IS NULL),
    CONSTRAINT started_has_process CHECK (
        status NOT IN ('running', 'canceling', 'pass', 'fail', 'error') OR host IS NOT NULL
    ),
    CONSTRAINT finished_exactly_in_terminal_states CHECK (
        (finished_at IS NOT NULL) = (status IN ('pass', 'fail', 'canceled', 'error'))
    ),
    CONSTRAINT a_stop_has_one_deadline CHECK (
        (stop_deadline IS NULL) = (canceling_at IS NULL)
        AND CASE status
            WHEN 'canceling' THEN stop_deadline IS NOT NULL
            WHEN 'canceled' THEN (stop_deadline IS NOT NULL) = (host IS NOT NULL)
            ELSE stop_deadline IS NULL
        END
    ),
    CONSTRAINT exit_code_fits_status CHECK (
        CASE status
            WHEN 'pass' THEN exit_code IS NOT NULL AND exit_code = 0
            WHEN 'fail' THEN exit_code IS NOT NULL AND exit_code <> 0
            WHEN 'queued' THEN exit_code IS NULL
            WHEN 'running' THEN exit_code IS NULL
            ELSE true
        END
    ),
    CONSTRAINT error_is_explained CHECK ((error IS NOT NULL) = (status = 'error'))
);

CREATE INDEX runs_by_status ON runs (status, run_id);
-- What a starting worker takes up again.
CREATE INDEX runs_live_by_host ON runs (host) WHERE status IN ('running', 'canceling');

CREATE TABLE cancellations (
    command_id   uuid PRIMARY KEY,
    run_id       bigint NOT NULL REFERENCES runs,
    via          text NOT NULL CHECK (via IN ('rest', 'direct', 'replay')),
    publisher    text,
    requested_by text CHECK (length(requested_by) <= 255),
    reason       text CHECK (length(reason) <= 255),
    force        boolean NOT NULL,
    grace_seconds double precision CHECK (grace_seconds BETWEEN 0 AND 600),
    requested_at timestamptz,
    received_at  timestamptz NOT NULL DEFAULT now(),
    outcome      text CHECK (outcome IN ('canceled', 'no_op', 'stop_failed')),
    finished_at  timestamptz,
    evidence     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(evidence) = 'object'),

    CONSTRAINT finished_exactly_with_outcome CHECK ((outcome IS NULL) = (finished_at IS NULL)),
    CONSTRAINT canceled_is_proved CHECK (
        outcome IS NULL OR outcome <> 'canceled' OR evidence ->> 'proof' IS NOT NULL
    )
);

CREATE INDEX cancellations_by_run ON cancellations (run_id, received_at DESC);

CREATE TABLE tokens (
    token_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of an opaque random token; the token itself is kept nowhere.
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    subject    text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    role       text NOT NULL CHECK (role IN ('admin', 'tester', 'contributor', 'user')),
    scopes     text[] NOT NULL CHECK (scopes <@ ARRAY['runs:read', 'runs:write']),
    rate_limit integer CHECK (rate_limit >= 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
