SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', true);

CREATE TABLE public.cancellations (
    command_id uuid NOT NULL,
    run_id bigint NOT NULL,
    via text NOT NULL,
    publisher text,
    requested_by text,
    reason text,
    force boolean NOT NULL,
    grace_seconds double precision,
    requested_at timestamp with time zone,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    outcome text,
    finished_at timestamp with time zone,
    evidence jsonb DEFAULT '{}'::jsonb NOT NULL,
    faults jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT a_stop_is_proved CHECK (((outcome IS NULL) OR (outcome <> ALL (ARRAY['canceled'::text, 'leftovers_stopped'::text])) OR ((evidence ->> 'proof'::text) IS NOT NULL))),
    CONSTRAINT cancellations_evidence_check CHECK ((jsonb_typeof(evidence) = 'object'::text)),
    CONSTRAINT cancellations_faults_check CHECK ((jsonb_typeof(faults) = 'object'::text)),
    CONSTRAINT cancellations_grace_seconds_check CHECK (((grace_seconds >= (0)::double precision) AND (grace_seconds <= (600)::double precision))),
    CONSTRAINT cancellations_outcome_check CHECK ((outcome = ANY (ARRAY['canceled'::text, 'no_op'::text, 'forced'::text, 'stop_failed'::text, 'leftovers_stopped'::text, 'abandoned'::text, 'not_proved'::text]))),
    CONSTRAINT cancellations_reason_check CHECK ((length(reason) <= 255)),
    CONSTRAINT cancellations_requested_by_check CHECK ((length(requested_by) <= 255)),
    CONSTRAINT cancellations_via_check CHECK ((via = ANY (ARRAY['rest'::text, 'direct'::text, 'replay'::text]))),
    CONSTRAINT finished_exactly_with_outcome CHECK (((outcome IS NULL) = (finished_at IS NULL)))
);

CREATE TABLE public.dead_letter_actions (
    action_id bigint NOT NULL,
    letter_id bigint NOT NULL,
    action text NOT NULL,
    done_at timestamp with time zone DEFAULT now() NOT NULL,
    done_by text NOT NULL,
    command_id uuid,
    body bytea,
    CONSTRAINT dead_letter_actions_action_check CHECK ((action = ANY (ARRAY['replayed'::text, 'edited'::text, 'discarded'::text]))),
    CONSTRAINT edited_has_its_command CHECK (((action = 'edited'::text) = ((command_id IS NOT NULL) AND (body IS NOT NULL))))
);

ALTER TABLE public.dead_letter_actions ALTER COLUMN action_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letter_actions_action_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.dead_letters (
    letter_id bigint NOT NULL,
    letter_key text NOT NULL,
    digest bytea NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    arrived_at timestamp with time zone DEFAULT now() NOT NULL,
    reason text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    first_failed_at timestamp with time zone,
    last_failed_at timestamp with time zone,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    via text NOT NULL,
    publisher text,
    command_id uuid,
    run_id bigint,
    requested_by text,
    body bytea NOT NULL,
    message_id text,
    correlation_id text,
    type text,
    app_id text,
    content_type text,
    content_encoding text,
    headers json DEFAULT '{}'::json NOT NULL,
    replays integer DEFAULT 0 NOT NULL,
    replay_of bigint,
    CONSTRAINT dead_letters_attempts_check CHECK ((attempts >= 1)),
    CONSTRAINT dead_letters_headers_check CHECK ((json_typeof(headers) = 'object'::text)),
    CONSTRAINT dead_letters_replays_check CHECK ((replays >= 0)),
    CONSTRAINT dead_letters_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'replayed'::text, 'discarded'::text]))),
    CONSTRAINT dead_letters_via_check CHECK ((via = ANY (ARRAY['rest'::text, 'direct'::text, 'replay'::text])))
);

ALTER TABLE public.dead_letters ALTER COLUMN letter_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letters_letter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.host_actions (
    action_id bigint NOT NULL,
    host text NOT NULL,
    action text NOT NULL,
    done_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    done_by text NOT NULL,
    reason text,
    run_ids bigint[] NOT NULL,
    CONSTRAINT abandoned_for_a_reason CHECK (((action <> 'abandoned'::text) OR (reason IS NOT NULL))),
    CONSTRAINT host_actions_action_check CHECK ((action = ANY (ARRAY['rebooted'::text, 'abandoned'::text, 'returned'::text, 'container_lost'::text]))),
    CONSTRAINT host_actions_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 255)))
);

ALTER TABLE public.host_actions ALTER COLUMN action_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.host_actions_action_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.hosts (
    host text NOT NULL,
    worker_id uuid,
    boot_id uuid NOT NULL,
    machine_id text,
    beat_seconds double precision NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    left_at timestamp with time zone,
    abandoned_at timestamp with time zone,
    pid_namespace text,
    privileges jsonb,
    CONSTRAINT hosts_beat_seconds_check CHECK ((beat_seconds > (0)::double precision)),
    CONSTRAINT hosts_privileges_check CHECK ((jsonb_typeof(privileges) = 'object'::text)),
    CONSTRAINT nobody_speaks_for_an_abandoned_host CHECK (((abandoned_at IS NULL) OR ((worker_id IS NULL) AND (left_at IS NULL))))
);

CREATE UNLOGGED TABLE public.rate_windows (
    spender text NOT NULL,
    budget text NOT NULL,
    used integer NOT NULL,
    resets_at timestamp with time zone NOT NULL,
    CONSTRAINT rate_windows_budget_check CHECK ((budget = ANY (ARRAY['read'::text, 'write'::text, 'anonymous'::text]))),
    CONSTRAINT rate_windows_used_check CHECK ((used >= 1))
)
WITH (fillfactor='50');

CREATE TABLE public.runs (
    run_id bigint NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    grace_seconds double precision,
    stop_signal text DEFAULT 'SIGTERM'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    canceling_at timestamp with time zone,
    finished_at timestamp with time zone,
    host text,
    boot_id uuid,
    pid integer,
    start_ticks bigint,
    launcher_pid integer,
    launcher_start_ticks bigint,
    uid bigint,
    launch_id uuid,
    containment text,
    cgroup text,
    stop_deadline timestamp with time zone,
    exit_code integer,
    error text,
    loss jsonb,
    pid_namespace text,
    cgroup_inode bigint,
    first_stop_deadline timestamp with time zone,
    CONSTRAINT a_moved_deadline_is_earlier CHECK (((first_stop_deadline IS NULL) OR ((stop_deadline IS NOT NULL) AND (stop_deadline < first_stop_deadline)))),
    CONSTRAINT a_stop_has_one_deadline CHECK ((((stop_deadline IS NULL) = (canceling_at IS NULL)) AND
CASE status
    WHEN 'canceling'::text THEN (stop_deadline IS NOT NULL)
    WHEN 'canceled'::text THEN ((stop_deadline IS NOT NULL) = (host IS NOT NULL))
    WHEN 'error'::text THEN ((stop_deadline IS NULL) OR ((loss ->> 'cause'::text) = ANY (ARRAY['host_abandoned'::text, 'container_lost'::text])))
    ELSE (stop_deadline IS NULL)
END)),
    CONSTRAINT cgroup_is_named CHECK (((cgroup IS NOT NULL) = ((containment IS NOT NULL) AND (containment = 'cgroup'::text)))),
    CONSTRAINT error_has_its_cause CHECK (((loss IS NULL) OR ((status = 'error'::text) AND (COALESCE((loss ->> 'cause'::text), ''::text) = ANY (ARRAY['launcher_died'::text, 'host_rebooted'::text, 'host_abandoned'::text, 'container_lost'::text]))))),
    CONSTRAINT error_is_explained CHECK (((error IS NOT NULL) = (status = 'error'::text))),
    CONSTRAINT exit_code_fits_status CHECK (
CASE status
    WHEN 'pass'::text THEN ((exit_code IS NOT NULL) AND (exit_code = 0))
    WHEN 'fail'::text THEN ((exit_code IS NOT NULL) AND (exit_code <> 0))
    WHEN 'queued'::text THEN (exit_code IS NULL)
    WHEN 'running'::text THEN (exit_code IS NULL)
    ELSE true
END),
    CONSTRAINT finished_exactly_in_terminal_states CHECK (((finished_at IS NOT NULL) = (status = ANY (ARRAY['pass'::text, 'fail'::text, 'canceled'::text, 'error'::text])))),
    CONSTRAINT identity_is_whole CHECK ((num_nulls(started_at, host, boot_id, pid, start_ticks, launcher_pid, launcher_start_ticks, uid, launch_id, containment) = ANY (ARRAY[0, 10]))),
    CONSTRAINT queued_has_no_process CHECK (((status <> 'queued'::text) OR (host IS NULL))),
    CONSTRAINT runs_containment_check CHECK ((containment = ANY (ARRAY['cgroup'::text, 'session'::text]))),
    CONSTRAINT runs_exit_code_check CHECK (((exit_code >= 0) AND (exit_code <= 255))),
    CONSTRAINT runs_grace_seconds_check CHECK (((grace_seconds >= (0)::double precision) AND (grace_seconds <= (600)::double precision))),
    CONSTRAINT runs_launcher_pid_check CHECK ((launcher_pid > 1)),
    CONSTRAINT runs_loss_check CHECK ((jsonb_typeof(loss) = 'object'::text)),
    CONSTRAINT runs_pid_check CHECK ((pid > 1)),
    CONSTRAINT runs_run_id_check CHECK ((run_id >= 1)),
    CONSTRAINT runs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'canceling'::text, 'pass'::text, 'fail'::text, 'canceled'::text, 'error'::text]))),
    CONSTRAINT runs_stop_signal_check CHECK ((stop_signal = ANY (ARRAY['SIGTERM'::text, 'SIGINT'::text, 'SIGQUIT'::text, 'SIGHUP'::text, 'SIGUSR1'::text, 'SIGUSR2'::text]))),
    CONSTRAINT started_has_process CHECK (((status <> ALL (ARRAY['running'::text, 'canceling'::text, 'pass'::text, 'fail'::text, 'error'::text])) OR (host IS NOT NULL)))
);

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.tokens (
    token_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    subject text NOT NULL,
    role text NOT NULL,
    scopes text[] NOT NULL,
    write_limit integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    read_limit integer,
    CONSTRAINT tokens_read_limit_check CHECK ((read_limit >= 1)),
    CONSTRAINT tokens_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'tester'::text, 'contributor'::text, 'user'::text]))),
    CONSTRAINT tokens_scopes_check CHECK ((scopes <@ ARRAY['runs:read'::text, 'runs:write'::text])),
    CONSTRAINT tokens_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 255))),
    CONSTRAINT tokens_token_hash_check CHECK ((octet_length(token_hash) = 32)),
    CONSTRAINT tokens_write_limit_check CHECK ((write_limit >= 1))
);

ALTER TABLE public.tokens ALTER COLUMN token_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.tokens_token_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (1, '0001_runs', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (2, '0002_rate_limits', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (3, '0003_dead_letters', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (4, '0004_hosts', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (5, '0005_one_letter', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (6, '0006_namespaces', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (7, '0007_command_faults', '2026-01-01 00:00:00+00');

SELECT pg_catalog.setval('public.dead_letter_actions_action_id_seq', 1, false);

SELECT pg_catalog.setval('public.dead_letters_letter_id_seq', 1, false);

SELECT pg_catalog.setval('public.host_actions_action_id_seq', 1, false);

SELECT pg_catalog.setval('public.tokens_token_id_seq', 1, false);

ALTER TABLE ONLY public.cancellations
    ADD CONSTRAINT cancellations_pkey PRIMARY KEY (command_id);

ALTER TABLE ONLY public.dead_letter_actions
    ADD CONSTRAINT dead_letter_actions_pkey PRIMARY KEY (action_id);

ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_letter_key_key UNIQUE (letter_key);

ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (letter_id);

ALTER TABLE ONLY public.host_actions
    ADD CONSTRAINT host_actions_pkey PRIMARY KEY (action_id);

ALTER TABLE ONLY public.hosts
    ADD CONSTRAINT hosts_pkey PRIMARY KEY (host);

ALTER TABLE ONLY public.rate_windows
    ADD CONSTRAINT rate_windows_pkey PRIMARY KEY (spender, budget);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_launch_id_key UNIQUE (launch_id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (token_id);

ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_token_hash_key UNIQUE (token_hash);

CREATE INDEX cancellations_by_run ON public.cancellations USING btree (run_id, received_at DESC);

CREATE INDEX dead_letter_actions_by_letter ON public.dead_letter_actions USING btree (letter_id);

CREATE INDEX dead_letters_by_digest ON public.dead_letters USING hash (digest);

CREATE INDEX dead_letters_by_run ON public.dead_letters USING btree (run_id) WHERE (run_id IS NOT NULL);

CREATE INDEX dead_letters_by_state ON public.dead_letters USING btree (state, letter_id);

CREATE INDEX dead_letters_waiting_by_command ON public.dead_letters USING btree (command_id) WHERE ((state = 'waiting'::text) AND (command_id IS NOT NULL));

CREATE INDEX host_actions_by_host ON public.host_actions USING btree (host, action_id);

CREATE INDEX runs_by_status ON public.runs USING btree (status, run_id);

CREATE INDEX runs_live_by_host ON public.runs USING btree (host) WHERE (status = ANY (ARRAY['running'::text, 'canceling'::text]));

CREATE INDEX runs_unproved_by_host ON public.runs USING btree (host) WHERE ((status = 'error'::text) AND ((loss ->> 'proof'::text) IS NULL));

ALTER TABLE ONLY public.cancellations
    ADD CONSTRAINT cancellations_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(run_id);

ALTER TABLE ONLY public.dead_letter_actions
    ADD CONSTRAINT dead_letter_actions_letter_id_fkey FOREIGN KEY (letter_id) REFERENCES public.dead_letters(letter_id);

ALTER TABLE ONLY public.host_actions
    ADD CONSTRAINT host_actions_host_fkey FOREIGN KEY (host) REFERENCES public.hosts(host);
