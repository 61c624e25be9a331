SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', true);

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';

CREATE FUNCTION public.cut_letter() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.reason := left(NEW.reason, 64);
    NEW.requested_by := left(NEW.requested_by, 255);
    NEW.publisher := left(NEW.publisher, 255);
    RETURN NEW;
END
$$;

CREATE FUNCTION public.error_group(error text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT left(regexp_replace(regexp_replace(regexp_replace(regexp_replace(error,
        '"[^"]*"|(?<![[:alnum:]])''[^'']*''', '*', 'g'),
        '(?<![^[:space:](=,])(/|[a-z+]+://)[^[:space:],;)]+', '*', 'g'),
        '[[:alnum:]_.-]*[0-9]([[:alnum:]_.:-]*[[:alnum:]])?', '*', 'g'),
        '\*([ ,:]*\*)+', '*', 'g'), 200)
$$;

CREATE FUNCTION public.expire_unstarted(noted_as bigint, before timestamp with time zone, INOUT after_id bigint, most integer, OUT looked_at integer, OUT pruned jsonb) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    found bigint[];
    of_runs bigint;
BEGIN
    PERFORM require_old(before);
    found := ARRAY(SELECT run_id FROM runs WHERE status = 'queued' AND run_id > after_id
                    ORDER BY run_id LIMIT most);
    looked_at := cardinality(found);
    after_id := coalesce(found[looked_at], after_id);
    found := ARRAY(SELECT run_id FROM runs
                    WHERE run_id = ANY (found) AND (status = 'queued') IS TRUE
                      AND created_at < before AND start_before IS NULL
                      FOR UPDATE SKIP LOCKED);
    UPDATE runs
       SET status = 'canceled', finished_at = clock_timestamp(), proof = 'never_started',
           expired = true
     WHERE run_id = ANY (found) AND (status = 'queued') IS TRUE;
    GET DIAGNOSTICS of_runs = ROW_COUNT;
    pruned := jsonb_build_object('expired', of_runs);
    PERFORM note_pruned(noted_as, pruned);
END
$$;

CREATE FUNCTION public.forget_host(name text, done_by text, OUT refused text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    AS $$
DECLARE
    found hosts;
BEGIN
    SELECT * INTO found FROM hosts WHERE host = name FOR UPDATE;
    refused := CASE
        WHEN found.host IS NULL THEN 'unknown'
        WHEN found.worker_id IS NOT NULL AND found.left_at IS NULL
             AND found.seen_at > clock_timestamp() - make_interval(secs => 3 * found.beat_seconds)
            THEN 'up'
        ELSE host_owns(name) END;
    IF refused IS NULL THEN
        DELETE FROM hosts WHERE host = name;
        INSERT INTO audit (done_by, action, object, detail)
        VALUES (forget_host.done_by, 'host_forgotten', name,
                jsonb_build_object('seen_at', found.seen_at, 'left_at', found.left_at,
                                   'abandoned_at', found.abandoned_at));
    END IF;
END
$$;

CREATE FUNCTION public.forget_message() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.message_header := NULL;
    NEW.message_body := NULL;
    RETURN NEW;
END
$$;

CREATE FUNCTION public.host_owns(name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO '$user', 'public'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
    SELECT CASE
        WHEN EXISTS (SELECT FROM runs WHERE host = name AND status IN ('running', 'canceling'))
            THEN 'runs'
        WHEN EXISTS (SELECT FROM runs WHERE host = name AND status = 'error'
                                        AND loss ->> 'proof' IS NULL)
          OR EXISTS (SELECT FROM runs WHERE host = name AND status IN ('pass', 'fail')
                                        AND left_behind IS NOT NULL
                                        AND left_behind ->> 'proof' IS NULL)
            THEN 'unproved'
        WHEN EXISTS (SELECT FROM runs WHERE host = name AND containers_in IS NOT NULL
                                        AND NOT containers_removed)
            THEN 'containers' END
$$;

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
    unreported_since timestamp with time zone,
    proof text,
    stop_scope text DEFAULT 'tree'::text NOT NULL,
    leftovers text DEFAULT 'stop'::text NOT NULL,
    left_behind jsonb,
    labels jsonb DEFAULT '{}'::jsonb NOT NULL,
    url text,
    start_before timestamp with time zone,
    expired boolean DEFAULT false NOT NULL,
    containers_in text,
    containers_removed boolean DEFAULT false NOT NULL,
    CONSTRAINT a_moved_deadline_is_earlier CHECK (((first_stop_deadline IS NULL) OR ((stop_deadline IS NOT NULL) AND (stop_deadline < first_stop_deadline)))),
    CONSTRAINT a_stop_has_one_deadline CHECK ((((stop_deadline IS NULL) = (canceling_at IS NULL)) AND
CASE status
    WHEN 'canceling'::text THEN (stop_deadline IS NOT NULL)
    WHEN 'canceled'::text THEN ((stop_deadline IS NOT NULL) = (host IS NOT NULL))
    WHEN 'error'::text THEN ((stop_deadline IS NULL) OR ((loss ->> 'cause'::text) = ANY (ARRAY['host_abandoned'::text, 'container_lost'::text])))
    ELSE (stop_deadline IS NULL)
END)),
    CONSTRAINT canceled_exactly_with_proof CHECK (((proof IS NOT NULL) = (status = 'canceled'::text))),
    CONSTRAINT cgroup_is_named CHECK (((cgroup IS NOT NULL) = ((containment IS NOT NULL) AND (containment = 'cgroup'::text)))),
    CONSTRAINT cgroup_was_there_to_be_empty CHECK (((proof IS NULL) OR (proof <> 'cgroup_empty'::text) OR (containment = 'cgroup'::text))),
    CONSTRAINT containers_by_a_process CHECK (((containers_in IS NULL) OR (host IS NOT NULL))),
    CONSTRAINT engine_has_reported_of_containers CHECK (((proof IS DISTINCT FROM 'engine_reported'::text) OR (containers_in IS NOT NULL))),
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
    CONSTRAINT expired_before_it_started CHECK (((NOT expired) OR ((status = 'canceled'::text) AND (host IS NULL)))),
    CONSTRAINT finished_exactly_in_terminal_states CHECK (((finished_at IS NOT NULL) = (status = ANY (ARRAY['pass'::text, 'fail'::text, 'canceled'::text, 'error'::text])))),
    CONSTRAINT identity_is_whole CHECK ((num_nulls(started_at, host, boot_id, pid, start_ticks, launcher_pid, launcher_start_ticks, uid, launch_id, containment) = ANY (ARRAY[0, 10]))),
    CONSTRAINT left_behind_by_a_process CHECK (((left_behind IS NULL) OR (host IS NOT NULL))),
    CONSTRAINT never_started_without_process CHECK (((proof IS NULL) OR ((proof = 'never_started'::text) = (host IS NULL)))),
    CONSTRAINT queued_has_no_process CHECK (((status <> 'queued'::text) OR (host IS NULL))),
    CONSTRAINT runs_containers_in_check CHECK (((length(containers_in) >= 1) AND (length(containers_in) <= 4096))),
    CONSTRAINT runs_containment_check CHECK ((containment = ANY (ARRAY['cgroup'::text, 'session'::text]))),
    CONSTRAINT runs_exit_code_check CHECK (((exit_code >= 0) AND (exit_code <= 255))),
    CONSTRAINT runs_grace_seconds_check CHECK (((grace_seconds >= (0)::double precision) AND (grace_seconds <= (600)::double precision))),
    CONSTRAINT runs_labels_check CHECK ((jsonb_typeof(labels) = 'object'::text)),
    CONSTRAINT runs_launcher_pid_check CHECK ((launcher_pid > 1)),
    CONSTRAINT runs_left_behind_check CHECK ((jsonb_typeof(left_behind) = 'object'::text)),
    CONSTRAINT runs_leftovers_check CHECK ((leftovers = ANY (ARRAY['stop'::text, 'keep'::text]))),
    CONSTRAINT runs_loss_check CHECK ((jsonb_typeof(loss) = 'object'::text)),
    CONSTRAINT runs_pid_check CHECK ((pid > 1)),
    CONSTRAINT runs_proof_check CHECK ((proof = ANY (ARRAY['never_started'::text, 'cgroup_empty'::text, 'scans_empty'::text, 'engine_reported'::text, 'host_rebooted'::text, 'not_recorded'::text]))),
    CONSTRAINT runs_run_id_check CHECK ((run_id >= 1)),
    CONSTRAINT runs_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'canceling'::text, 'pass'::text, 'fail'::text, 'canceled'::text, 'error'::text]))),
    CONSTRAINT runs_stop_scope_check CHECK ((stop_scope = ANY (ARRAY['tree'::text, 'leader'::text]))),
    CONSTRAINT runs_stop_signal_check CHECK ((stop_signal = ANY (ARRAY['SIGTERM'::text, 'SIGINT'::text, 'SIGQUIT'::text, 'SIGHUP'::text, 'SIGUSR1'::text, 'SIGUSR2'::text]))),
    CONSTRAINT runs_url_check CHECK ((length(url) <= 2048)),
    CONSTRAINT started_has_process CHECK (((status <> ALL (ARRAY['running'::text, 'canceling'::text, 'pass'::text, 'fail'::text, 'error'::text])) OR (host IS NOT NULL)))
);

CREATE FUNCTION public.how_ended(run public.runs) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE run.status
        WHEN 'canceled' THEN CASE WHEN run.expired THEN 'expired' ELSE (
            SELECT evidence ->> 'ended'
              FROM cancellations c
             WHERE c.run_id = run.run_id AND outcome = 'canceled'
             ORDER BY received_at, command_id
             LIMIT 1
        ) END
        WHEN 'error' THEN coalesce(run.loss ->> 'cause', 'launcher_died')
        ELSE 'exited' END
$$;

CREATE FUNCTION public.keep_letter_text() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    INSERT INTO dead_letter_texts SELECT letter_id, letter_text(error, body) FROM after;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.keeping_earlier(evidence jsonb, on_record jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT evidence || CASE on_record WHEN '{}' THEN '{}'
        ELSE jsonb_build_object('earlier', coalesce(on_record -> 'earlier', on_record)) END
$$;

CREATE FUNCTION public.letter_pattern(wanted text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
            SELECT '%' || regexp_replace(
                encode(convert_to(lower(wanted COLLATE "und-x-icu"), 'UTF8'), 'escape'), '([%_\\])', '\\\1', 'g'
            ) || '%'
        $$;

CREATE FUNCTION public.letter_text(error text, body bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
        DECLARE
            -- To index all 64 KiB takes 4 to 45 times the processor time of the insert alone. So it is
            -- 2 to 5 times, for JSON, text and random bytes.
            head bytea := substr(body, 1, 16384 + 1);
            size int := octet_length(head);
        BEGIN
            IF size > 16384 THEN
                size := 16384;
                -- The cut is not within a character: its further bytes are 10xxxxxx.
                WHILE size > 16384 - 3 AND get_byte(head, size) & 192 = 128 LOOP
                    size := size - 1;
                END LOOP;
                head := substr(head, 1, size);
            END IF;
            RETURN encode(convert_to(
                lower((error || E'\n' || convert_from(head, 'UTF8')) COLLATE "und-x-icu"), 'UTF8'), 'escape');
        -- It is no text: most of its bytes are escaped, as four characters each.
        EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
            RETURN encode(convert_to(lower(error COLLATE "und-x-icu"), 'UTF8'), 'escape') || E'\n'
                || lower(encode(substr(head, 1, 4096), 'escape'));
        END
        $$;

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
    full_size bigint,
    reply_to text,
    error_group text GENERATED ALWAYS AS (public.error_group(error)) STORED NOT NULL,
    CONSTRAINT dead_letters_attempts_check CHECK ((attempts >= 1)),
    CONSTRAINT dead_letters_check CHECK ((full_size > octet_length(body))),
    CONSTRAINT dead_letters_headers_check CHECK ((json_typeof(headers) = 'object'::text)),
    CONSTRAINT dead_letters_replays_check CHECK ((replays >= 0)),
    CONSTRAINT dead_letters_reply_to_check CHECK ((reply_to ~ '^amq\.rabbitmq\.reply-to\.[!-~]{1,200}$'::text)),
    CONSTRAINT dead_letters_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'replayed'::text, 'discarded'::text]))),
    CONSTRAINT dead_letters_via_check CHECK ((via = ANY (ARRAY['rest'::text, 'direct'::text, 'replay'::text])))
);

CREATE FUNCTION public.letter_to_archive(letter public.dead_letters) RETURNS json
    LANGUAGE sql STABLE
    SET search_path TO '$user', 'public'
    AS $$
    SELECT json_build_object('letter', to_json(letter), 'actions', (
               SELECT coalesce(json_agg(to_json(a) ORDER BY action_id), '[]')
                 FROM dead_letter_actions a WHERE a.letter_id = letter.letter_id))
$$;

CREATE FUNCTION public.note_pruned(noted_as bigint, numbers jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    UPDATE audit
       SET detail = detail || jsonb_build_object('pruned', coalesce(detail -> 'pruned', '{}') || (
               SELECT jsonb_object_agg(key, value::bigint
                                            + coalesce((detail #>> ARRAY['pruned', key])::bigint, 0))
                 FROM jsonb_each_text(numbers)))
     WHERE audit_id = noted_as AND action = 'pruned';
    IF NOT FOUND THEN
        RAISE invalid_parameter_value USING MESSAGE = 'this prune is not on record';
    END IF;
END
$$;

CREATE FUNCTION public.prunable_letters(before timestamp with time zone, INOUT after_at timestamp with time zone, INOUT after_id bigint, most integer, with_waiting boolean, locking boolean, OUT looked_at integer, OUT letter_ids bigint[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    SELECT array_agg(letter_id), count(*) INTO letter_ids, looked_at
      FROM (SELECT letter_id FROM dead_letters
             WHERE arrived_at < before AND (arrived_at, letter_id) > (after_at, after_id)
             ORDER BY arrived_at, letter_id
             LIMIT most) oldest;
    IF looked_at = 0 THEN
        RETURN;
    END IF;
    SELECT arrived_at, letter_id INTO after_at, after_id
      FROM dead_letters WHERE letter_id = letter_ids[looked_at];
    IF locking THEN
        letter_ids := ARRAY(SELECT letter_id FROM dead_letters WHERE letter_id = ANY (letter_ids)
                               FOR UPDATE SKIP LOCKED);
    END IF;
    letter_ids := ARRAY(
        SELECT letter_id FROM dead_letters l
         WHERE letter_id = ANY (letter_ids) AND (state <> 'waiting' OR with_waiting)
           AND NOT EXISTS (SELECT FROM dead_letter_actions a
                            WHERE a.letter_id = l.letter_id AND a.done_at >= before));
END
$$;

CREATE FUNCTION public.prunable_runs(before timestamp with time zone, INOUT after_at timestamp with time zone, INOUT after_id bigint, most integer, with_waiting boolean, locking boolean, OUT looked_at integer, OUT run_ids bigint[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO '$user', 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    SELECT array_agg(run_id), count(*) INTO run_ids, looked_at
      FROM (SELECT run_id FROM runs
             WHERE finished_at IS NOT NULL AND finished_at < before
               AND (finished_at, run_id) > (after_at, after_id)
             ORDER BY finished_at, run_id
             LIMIT most) oldest;
    IF looked_at = 0 THEN
        RETURN;
    END IF;
    SELECT finished_at, run_id INTO after_at, after_id FROM runs WHERE run_id = run_ids[looked_at];
    IF locking THEN
        -- Whoever decides on a command locks its run first. So what the next statement sees of
        -- commands stays so.
        run_ids := ARRAY(SELECT run_id FROM runs WHERE run_id = ANY (run_ids)
                            FOR UPDATE SKIP LOCKED);
    END IF;
    run_ids := ARRAY(
        SELECT run_id
          FROM runs r LEFT JOIN hosts h ON h.host = r.host
         WHERE run_id = ANY (run_ids) AND r.created_at < before
           AND (h.abandoned_at < before
                OR CASE status
                       WHEN 'canceled' THEN true
                       WHEN 'error' THEN loss ->> 'proof' IS NOT NULL
                       ELSE left_behind IS NULL OR left_behind ->> 'proof' IS NOT NULL END
                   -- Containers that a run was registered to keep stay, once they have ended.
                   AND (containers_in IS NULL OR containers_removed
                        OR leftovers = 'keep' AND status IN ('pass', 'fail')
                           AND coalesce(left_behind ->> 'ended', 'already_gone') = 'already_gone'))
           AND NOT EXISTS (
                   SELECT FROM cancellations c
                    WHERE c.run_id = r.run_id
                      AND (c.outcome IS NULL OR c.received_at >= before OR c.finished_at >= before))
           AND NOT EXISTS (
                   SELECT FROM dead_letters l
                    WHERE l.run_id = r.run_id
                      AND (l.state = 'waiting' AND NOT with_waiting OR l.arrived_at >= before
                           OR EXISTS (SELECT FROM dead_letter_actions a
                                       WHERE a.letter_id = l.letter_id AND a.done_at >= before))));
END
$$;

CREATE FUNCTION public.prune_history(noted_as bigint, before timestamp with time zone, most integer, archiving boolean, OUT looked_at integer, OUT pruned jsonb, OUT archived text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    of_hosts bigint[];
    of_audit bigint[];
BEGIN
    PERFORM require_old(before);
    of_hosts := ARRAY(SELECT action_id FROM host_actions WHERE done_at < before
                       ORDER BY done_at, action_id LIMIT most FOR UPDATE SKIP LOCKED);
    of_audit := ARRAY(SELECT audit_id FROM audit WHERE done_at < before
                       ORDER BY done_at, audit_id LIMIT most FOR UPDATE SKIP LOCKED);
    IF archiving THEN
        archived := ARRAY(SELECT json_build_object('host_action', to_json(a))::text
                            FROM host_actions a WHERE action_id = ANY (of_hosts)
                           ORDER BY action_id)
                 || ARRAY(SELECT json_build_object('audit', to_json(a))::text
                            FROM audit a WHERE audit_id = ANY (of_audit) ORDER BY audit_id);
    END IF;
    DELETE FROM host_actions WHERE action_id = ANY (of_hosts);
    DELETE FROM audit WHERE audit_id = ANY (of_audit);
    looked_at := cardinality(of_hosts) + cardinality(of_audit);
    pruned := jsonb_build_object('host_actions', cardinality(of_hosts),
                                 'audit', cardinality(of_audit));
    PERFORM note_pruned(noted_as, pruned);
END
$$;

CREATE FUNCTION public.prune_letters(noted_as bigint, before timestamp with time zone, INOUT after_at timestamp with time zone, INOUT after_id bigint, most integer, with_waiting boolean, archiving boolean, OUT looked_at integer, OUT pruned jsonb, OUT archived text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    found record;
    of_actions bigint;
    of_letters bigint;
BEGIN
    PERFORM require_old(before);
    SELECT * INTO found
      FROM prunable_letters(before, after_at, after_id, most, with_waiting, locking => true);
    looked_at := found.looked_at;
    after_at := found.after_at;
    after_id := found.after_id;
    IF archiving THEN
        archived := ARRAY(SELECT letter_to_archive(l)::text FROM dead_letters l
                           WHERE letter_id = ANY (found.letter_ids) ORDER BY letter_id);
    END IF;
    DELETE FROM dead_letter_actions WHERE letter_id = ANY (found.letter_ids);
    GET DIAGNOSTICS of_actions = ROW_COUNT;
    DELETE FROM dead_letters WHERE letter_id = ANY (found.letter_ids);
    GET DIAGNOSTICS of_letters = ROW_COUNT;
    pruned := jsonb_build_object('dead_letters', of_letters, 'dead_letter_actions', of_actions);
    PERFORM note_pruned(noted_as, pruned);
END
$$;

CREATE FUNCTION public.prune_runs(noted_as bigint, before timestamp with time zone, INOUT after_at timestamp with time zone, INOUT after_id bigint, most integer, with_waiting boolean, archiving boolean, OUT looked_at integer, OUT pruned jsonb, OUT archived text[]) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
DECLARE
    found record;
    letters bigint[];
    of_labels bigint;
    of_cancellations bigint;
    of_actions bigint;
    of_letters bigint;
    of_runs bigint;
BEGIN
    PERFORM require_old(before);
    SELECT * INTO found
      FROM prunable_runs(before, after_at, after_id, most, with_waiting, locking => true);
    looked_at := found.looked_at;
    after_at := found.after_at;
    after_id := found.after_id;
    letters := ARRAY(SELECT letter_id FROM dead_letters WHERE run_id = ANY (found.run_ids));
    IF archiving THEN
        archived := ARRAY(
            SELECT json_build_object(
                       'run', to_json(r),
                       'cancellations', (
                           SELECT coalesce(json_agg(to_json(c) ORDER BY received_at, command_id),
                                           '[]')
                             FROM cancellations c WHERE c.run_id = r.run_id),
                       'letters', (
                           SELECT coalesce(json_agg(letter_to_archive(l) ORDER BY letter_id), '[]')
                             FROM dead_letters l WHERE l.run_id = r.run_id))::text
              FROM runs r WHERE run_id = ANY (found.run_ids) ORDER BY run_id);
    END IF;
    DELETE FROM dead_letter_actions WHERE letter_id = ANY (letters);
    GET DIAGNOSTICS of_actions = ROW_COUNT;
    DELETE FROM dead_letters WHERE letter_id = ANY (letters);
    GET DIAGNOSTICS of_letters = ROW_COUNT;
    -- MATERIALIZED, or Postgres may look for each run through the whole index, which begins with the
    -- label (measured: 5 s for 1,000 runs among 30,000).
    WITH own AS MATERIALIZED (
        SELECT key || ':' || value AS label, run_id FROM runs, jsonb_each_text(labels)
         WHERE run_id = ANY (found.run_ids)
    )
    DELETE FROM run_labels l USING own WHERE l.label = own.label AND l.run_id = own.run_id;
    GET DIAGNOSTICS of_labels = ROW_COUNT;
    DELETE FROM cancellations WHERE run_id = ANY (found.run_ids);
    GET DIAGNOSTICS of_cancellations = ROW_COUNT;
    DELETE FROM runs WHERE run_id = ANY (found.run_ids);
    GET DIAGNOSTICS of_runs = ROW_COUNT;
    pruned := jsonb_build_object(
        'runs', of_runs, 'run_labels', of_labels, 'cancellations', of_cancellations,
        'dead_letters', of_letters, 'dead_letter_actions', of_actions);
    PERFORM note_pruned(noted_as, pruned);
END
$$;

CREATE FUNCTION public.rejected(letter public.dead_letters) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT jsonb_build_object(
        'letter_id', letter.letter_id, 'run_id', letter.run_id, 'command_id', letter.command_id,
        'reason', letter.reason, 'error', letter.error, 'requested_by', letter.requested_by,
        'via', letter.via, 'publisher', letter.publisher)
$$;

CREATE FUNCTION public.require_old(before timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF before > now() - interval '7 days' IS NOT FALSE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'records of the last 7 days are never pruned';
    END IF;
END
$$;

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
    taken_up integer DEFAULT 0 NOT NULL,
    message_header bytea,
    message_body bytea,
    reply_to text,
    correlation_id text,
    CONSTRAINT a_stop_is_proved CHECK (((outcome IS NULL) OR (outcome <> ALL (ARRAY['canceled'::text, 'leftovers_stopped'::text])) OR ((evidence ->> 'proof'::text) IS NOT NULL))),
    CONSTRAINT cancellations_correlation_id_check CHECK ((length(correlation_id) <= 255)),
    CONSTRAINT cancellations_evidence_check CHECK ((jsonb_typeof(evidence) = 'object'::text)),
    CONSTRAINT cancellations_faults_check CHECK ((jsonb_typeof(faults) = 'object'::text)),
    CONSTRAINT cancellations_grace_seconds_check CHECK (((grace_seconds >= (0)::double precision) AND (grace_seconds <= (600)::double precision))),
    CONSTRAINT cancellations_outcome_check CHECK ((outcome = ANY (ARRAY['canceled'::text, 'no_op'::text, 'forced'::text, 'stop_failed'::text, 'leftovers_stopped'::text, 'abandoned'::text, 'not_proved'::text]))),
    CONSTRAINT cancellations_reason_check CHECK ((length(reason) <= 255)),
    CONSTRAINT cancellations_reply_to_check CHECK ((reply_to ~ '^amq\.rabbitmq\.reply-to\.[!-~]{1,200}$'::text)),
    CONSTRAINT cancellations_requested_by_check CHECK ((length(requested_by) <= 255)),
    CONSTRAINT cancellations_via_check CHECK ((via = ANY (ARRAY['rest'::text, 'direct'::text, 'replay'::text]))),
    CONSTRAINT finished_exactly_with_outcome CHECK (((outcome IS NULL) = (finished_at IS NULL)))
);

CREATE FUNCTION public.settled(command public.cancellations) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT jsonb_build_object(
        'run_id', command.run_id, 'command_id', command.command_id, 'outcome', command.outcome,
        'requested_by', command.requested_by, 'reason', command.reason, 'via', command.via,
        'publisher', command.publisher, 'force', command.force,
        'ended', command.evidence -> 'ended', 'proof', command.evidence -> 'proof',
        'duration_ms', command.evidence -> 'duration_ms',
        'containers', coalesce(jsonb_array_length(command.evidence -> 'containers'), 0))
$$;

CREATE FUNCTION public.tell_finished() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    SET enable_nestloop TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    ended bigint[];
BEGIN
    WITH told AS (
        INSERT INTO outbox (type, run_id, data)
        SELECT CASE WHEN after.finished_at IS NOT NULL THEN 'run.finished'
                    ELSE 'run.' || replace(after.status, 'running', 'started') END,
               run_id,
               CASE
                   WHEN after.finished_at IS NOT NULL THEN
                       jsonb_build_object('run_id', run_id, 'status', after.status,
                                          'exit_code', after.exit_code, 'error', after.error,
                                          'proof', after.proof,
                                          -- Most often; to call the function costs more.
                                          'ended', CASE WHEN after.host IS NULL AND NOT after.expired
                                              THEN 'never_started' ELSE how_ended(after) END,
                                          'left_behind', CASE
                                              WHEN after.left_behind IS NOT NULL
                                                   AND after.status IN ('pass', 'fail') THEN
                                              jsonb_build_object(
                                                  'number', after.left_behind -> 'number',
                                                  'containers',
                                                      after.left_behind -> 'containers_number',
                                                  'ended', after.left_behind -> 'ended',
                                                  'proof', after.left_behind -> 'proof') END,
                                          'labels', after.labels, 'url', after.url)
                   WHEN after.status = 'running' THEN
                       jsonb_build_object('run_id', run_id, 'host', after.host)
                   ELSE jsonb_build_object('run_id', run_id, 'host', after.host,
                                           'stop_deadline', after.stop_deadline)
               END
          FROM after JOIN before USING (run_id)
         WHERE after.status <> before.status
         ORDER BY run_id
        RETURNING run_id, type
    )
    SELECT array_agg(run_id) INTO ended FROM told WHERE type = 'run.finished';
    -- An UPDATE costs its triggers as well, also where it finds nothing.
    IF EXISTS (SELECT FROM cancellations WHERE run_id = ANY (ended) AND outcome IS NULL) THEN
        UPDATE cancellations c
           SET outcome = 'no_op', finished_at = clock_timestamp(),
               evidence = c.evidence || jsonb_build_object('run_status', r.status)
          FROM after r
         WHERE c.run_id = ANY (ended) AND c.outcome IS NULL
           AND r.run_id = c.run_id AND r.status IN ('pass', 'fail', 'canceled')
           -- What may be alive of it, a waiting command stops.
           AND (r.status = 'canceled' OR r.left_behind IS NULL
                OR r.left_behind ->> 'proof' IS NOT NULL);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.tell_registered() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    INSERT INTO run_labels (label, run_id)
    SELECT key || ':' || value, run_id FROM after, jsonb_each_text(labels)
     WHERE labels <> '{}';
    INSERT INTO outbox (type, run_id, data)
    SELECT 'run.registered', run_id,
           jsonb_build_object('run_id', run_id, 'labels', labels, 'url', url,
                              'grace_seconds', grace_seconds, 'stop_signal', stop_signal,
                              'stop_scope', stop_scope, 'leftovers', leftovers,
                              'start_before', start_before)
      FROM after
     WHERE status = 'queued'
     ORDER BY run_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.tell_rejected() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    AS $$
BEGIN
    -- Whatever is told of a run is written under the lock of its row, so that its events have the
    -- order of their ids.
    PERFORM FROM runs WHERE run_id IN (SELECT run_id FROM after) ORDER BY run_id FOR NO KEY UPDATE;
    INSERT INTO outbox (type, run_id, data, reply_to, correlation_id)
    SELECT CASE WHEN routing_key = 'run.queued' THEN 'run.rejected' ELSE 'cancel.rejected' END,
           coalesce(run_id, 0), rejected(after),
           -- The settled command was the answer.
           CASE WHEN reason <> 'stop_failed' THEN reply_to END, correlation_id
      FROM after
     ORDER BY letter_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION public.tell_settled() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO '$user', 'public'
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO outbox (type, run_id, data, reply_to, correlation_id)
        SELECT 'cancel.settled', run_id, settled(after), reply_to, correlation_id FROM after
         WHERE outcome IS NOT NULL
         ORDER BY command_id;
    ELSE
        INSERT INTO outbox (type, run_id, data, reply_to, correlation_id)
        SELECT 'cancel.settled', after.run_id, settled(after), after.reply_to, after.correlation_id
          FROM after JOIN before USING (command_id)
         WHERE after.outcome IS NOT NULL AND after.outcome IS DISTINCT FROM before.outcome
         ORDER BY command_id;
        INSERT INTO outbox (type, run_id, data, message_header, message_body)
        SELECT 'dead_letter', after.run_id,
               to_jsonb(after) - 'message_header' - 'message_body'
                   || jsonb_build_object('letter', gen_random_uuid()),
               before.message_header, before.message_body
          FROM after JOIN before USING (command_id)
         WHERE after.outcome = 'stop_failed' AND before.outcome IS NULL
         ORDER BY command_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TABLE public.audit (
    audit_id bigint NOT NULL,
    done_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    done_by text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT audit_action_check CHECK ((action = ANY (ARRAY['pruned'::text, 'host_forgotten'::text, 'signed_in'::text]))),
    CONSTRAINT audit_detail_check CHECK ((jsonb_typeof(detail) = 'object'::text)),
    CONSTRAINT audit_done_by_check CHECK (((length(done_by) >= 1) AND (length(done_by) <= 255))),
    CONSTRAINT audit_object_check CHECK (((length(object) >= 1) AND (length(object) <= 255)))
);

ALTER TABLE public.audit ALTER COLUMN audit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.dead_letter_actions (
    action_id bigint NOT NULL,
    letter_id bigint NOT NULL,
    action text NOT NULL,
    done_at timestamp with time zone DEFAULT now() NOT NULL,
    done_by text NOT NULL,
    command_id uuid,
    body bytea,
    note text,
    CONSTRAINT dead_letter_actions_action_check CHECK ((action = ANY (ARRAY['replayed'::text, 'edited'::text, 'discarded'::text]))),
    CONSTRAINT dead_letter_actions_note_check CHECK ((length(note) <= 1000)),
    CONSTRAINT edited_has_its_body CHECK ((((action = 'edited'::text) = (body IS NOT NULL)) AND ((action = 'edited'::text) OR (command_id IS NULL))))
);

ALTER TABLE public.dead_letter_actions ALTER COLUMN action_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dead_letter_actions_action_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.dead_letter_texts (
    letter_id bigint NOT NULL,
    content text NOT NULL COLLATE pg_catalog."C"
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
    wakes_since timestamp with time zone,
    CONSTRAINT hosts_beat_seconds_check CHECK ((beat_seconds > (0)::double precision)),
    CONSTRAINT hosts_privileges_check CHECK ((jsonb_typeof(privileges) = 'object'::text)),
    CONSTRAINT nobody_speaks_for_an_abandoned_host CHECK (((abandoned_at IS NULL) OR ((worker_id IS NULL) AND (left_at IS NULL))))
);

CREATE TABLE public.outbox (
    event_id bigint NOT NULL,
    type text NOT NULL,
    run_id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    data jsonb NOT NULL,
    message_header bytea,
    message_body bytea,
    reply_to text,
    correlation_id text,
    CONSTRAINT outbox_data_check CHECK ((jsonb_typeof(data) = 'object'::text)),
    CONSTRAINT outbox_type_check CHECK ((type = ANY (ARRAY['run.registered'::text, 'run.started'::text, 'run.canceling'::text, 'run.finished'::text, 'run.rejected'::text, 'cancel.settled'::text, 'cancel.rejected'::text, 'dead_letter'::text])))
);

ALTER TABLE public.outbox ALTER COLUMN event_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE UNLOGGED TABLE public.rate_windows (
    spender text NOT NULL,
    budget text NOT NULL,
    used integer NOT NULL,
    resets_at timestamp with time zone NOT NULL,
    CONSTRAINT rate_windows_budget_check CHECK ((budget = ANY (ARRAY['read'::text, 'write'::text, 'register'::text, 'anonymous'::text]))),
    CONSTRAINT rate_windows_used_check CHECK ((used >= 1))
)
WITH (fillfactor='50');

CREATE TABLE public.run_labels (
    label text NOT NULL,
    run_id bigint NOT NULL
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
    register_limit integer,
    CONSTRAINT tokens_read_limit_check CHECK ((read_limit >= 1)),
    CONSTRAINT tokens_register_limit_check CHECK ((register_limit >= 1)),
    CONSTRAINT tokens_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'tester'::text, 'contributor'::text, 'user'::text]))),
    CONSTRAINT tokens_scopes_check CHECK ((scopes <@ ARRAY['runs:read'::text, 'runs:write'::text, 'runs:force'::text, 'runs:register'::text, 'runs:bulk'::text])),
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

CREATE TABLE public.turns (
    name text NOT NULL,
    due_at timestamp with time zone
);

INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (1, '0001_runs', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (2, '0002_rate_limits', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (3, '0003_dead_letters', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (4, '0004_hosts', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (5, '0005_one_letter', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (6, '0006_namespaces', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (7, '0007_command_faults', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (8, '0008_launches', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (9, '0009_letter_size', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (10, '0010_proof', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (11, '0011_outbox', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (12, '0012_open_commands', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (13, '0013_letters', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (14, '0014_stable_plans', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (15, '0015_wakes', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (16, '0016_registrations', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (17, '0017_events', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (18, '0018_containers', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (19, '0019_letters', '2026-01-01 00:00:00+00');
INSERT INTO public.schema_migrations (number, name, applied_at) VALUES (20, '0020_upkeep', '2026-01-01 00:00:00+00');

INSERT INTO public.turns (name, due_at) VALUES ('keeper', NULL);
INSERT INTO public.turns (name, due_at) VALUES ('relay', NULL);
INSERT INTO public.turns (name, due_at) VALUES ('retention', '-infinity');
INSERT INTO public.turns (name, due_at) VALUES ('host_retention', '-infinity');

SELECT pg_catalog.setval('public.audit_audit_id_seq', 1, false);

SELECT pg_catalog.setval('public.dead_letter_actions_action_id_seq', 1, false);

SELECT pg_catalog.setval('public.dead_letters_letter_id_seq', 1, false);

SELECT pg_catalog.setval('public.host_actions_action_id_seq', 1, false);

SELECT pg_catalog.setval('public.outbox_event_id_seq', 1, false);

SELECT pg_catalog.setval('public.tokens_token_id_seq', 1, false);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (audit_id);

ALTER TABLE ONLY public.cancellations
    ADD CONSTRAINT cancellations_pkey PRIMARY KEY (command_id);

ALTER TABLE ONLY public.dead_letter_actions
    ADD CONSTRAINT dead_letter_actions_pkey PRIMARY KEY (action_id);

ALTER TABLE ONLY public.dead_letter_texts
    ADD CONSTRAINT dead_letter_texts_pkey PRIMARY KEY (letter_id);

ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_letter_key_key UNIQUE (letter_key);

ALTER TABLE ONLY public.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (letter_id);

ALTER TABLE ONLY public.host_actions
    ADD CONSTRAINT host_actions_pkey PRIMARY KEY (action_id);

ALTER TABLE ONLY public.hosts
    ADD CONSTRAINT hosts_pkey PRIMARY KEY (host);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY public.rate_windows
    ADD CONSTRAINT rate_windows_pkey PRIMARY KEY (spender, budget);

ALTER TABLE ONLY public.run_labels
    ADD CONSTRAINT run_labels_pkey PRIMARY KEY (label, run_id);

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

ALTER TABLE ONLY public.turns
    ADD CONSTRAINT turns_pkey PRIMARY KEY (name);

CREATE INDEX audit_by_time ON public.audit USING btree (done_at, audit_id);

CREATE INDEX cancellations_by_run ON public.cancellations USING btree (run_id, received_at DESC);

CREATE INDEX cancellations_by_time ON public.cancellations USING btree (received_at);

CREATE INDEX cancellations_open ON public.cancellations USING btree (run_id, received_at) WHERE (outcome IS NULL);

CREATE INDEX dead_letter_actions_by_letter ON public.dead_letter_actions USING btree (letter_id);

CREATE INDEX dead_letter_actions_by_time ON public.dead_letter_actions USING btree (done_at, action_id);

CREATE INDEX dead_letter_texts_by_content ON public.dead_letter_texts USING gin (content public.gin_trgm_ops);

CREATE INDEX dead_letters_by_digest ON public.dead_letters USING hash (digest);

CREATE INDEX dead_letters_by_replay ON public.dead_letters USING btree (replay_of) WHERE (replay_of IS NOT NULL);

CREATE INDEX dead_letters_by_run ON public.dead_letters USING btree (run_id) WHERE (run_id IS NOT NULL);

CREATE INDEX dead_letters_by_state ON public.dead_letters USING btree (state, letter_id) INCLUDE (arrived_at, reason, error_group, publisher, requested_by, run_id, replays, full_size);

CREATE INDEX dead_letters_by_time ON public.dead_letters USING btree (arrived_at, letter_id);

CREATE INDEX dead_letters_waiting_by_command ON public.dead_letters USING btree (command_id) WHERE ((state = 'waiting'::text) AND (command_id IS NOT NULL));

CREATE INDEX host_actions_by_host ON public.host_actions USING btree (host, action_id);

CREATE INDEX host_actions_by_time ON public.host_actions USING btree (done_at, action_id);

CREATE INDEX outbox_letters ON public.outbox USING btree (event_id) WHERE (type = 'dead_letter'::text);

CREATE INDEX runs_by_addition ON public.runs USING btree (created_at, run_id);

CREATE INDEX runs_by_end ON public.runs USING btree (finished_at, run_id) WHERE (finished_at IS NOT NULL);

CREATE INDEX runs_by_host ON public.runs USING btree (host, run_id) WHERE (host IS NOT NULL);

CREATE UNIQUE INDEX runs_by_leader ON public.runs USING btree (boot_id, pid_namespace, pid, start_ticks) WHERE (pid_namespace IS NOT NULL);

CREATE INDEX runs_by_status ON public.runs USING btree (status, run_id);

CREATE INDEX runs_live_by_host ON public.runs USING btree (host) WHERE (status = ANY (ARRAY['running'::text, 'canceling'::text]));

CREATE INDEX runs_to_expire ON public.runs USING btree (start_before) WHERE ((status = 'queued'::text) AND (start_before IS NOT NULL));

CREATE INDEX runs_unproved_by_host ON public.runs USING btree (host) WHERE ((status = 'error'::text) AND ((loss ->> 'proof'::text) IS NULL));

CREATE INDEX runs_with_containers ON public.runs USING btree (host) WHERE ((containers_in IS NOT NULL) AND (NOT containers_removed));

CREATE INDEX runs_with_leftovers ON public.runs USING btree (host) WHERE ((status = ANY (ARRAY['pass'::text, 'fail'::text])) AND (left_behind IS NOT NULL) AND ((left_behind ->> 'proof'::text) IS NULL));

CREATE TRIGGER cancellations_closed BEFORE UPDATE ON public.cancellations FOR EACH ROW WHEN (((new.outcome IS NOT NULL) AND (new.message_header IS NOT NULL))) EXECUTE FUNCTION public.forget_message();

CREATE TRIGGER cancellations_settled AFTER INSERT ON public.cancellations REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION public.tell_settled();

CREATE TRIGGER cancellations_settled_later AFTER UPDATE ON public.cancellations REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION public.tell_settled();

CREATE TRIGGER dead_letter_texts_kept AFTER INSERT ON public.dead_letters REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION public.keep_letter_text();

CREATE TRIGGER dead_letters_cut BEFORE INSERT ON public.dead_letters FOR EACH ROW WHEN (((length(new.reason) > 64) OR (length(new.requested_by) > 255) OR (length(new.publisher) > 255))) EXECUTE FUNCTION public.cut_letter();

CREATE TRIGGER dead_letters_kept AFTER INSERT ON public.dead_letters REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION public.tell_rejected();

CREATE TRIGGER runs_finished AFTER UPDATE ON public.runs REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION public.tell_finished();

CREATE TRIGGER runs_registered AFTER INSERT ON public.runs REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION public.tell_registered();

ALTER TABLE ONLY public.cancellations
    ADD CONSTRAINT cancellations_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(run_id);

ALTER TABLE ONLY public.dead_letter_actions
    ADD CONSTRAINT dead_letter_actions_letter_id_fkey FOREIGN KEY (letter_id) REFERENCES public.dead_letters(letter_id);

ALTER TABLE ONLY public.dead_letter_texts
    ADD CONSTRAINT dead_letter_texts_letter_id_fkey FOREIGN KEY (letter_id) REFERENCES public.dead_letters(letter_id) ON DELETE CASCADE;

REVOKE ALL ON FUNCTION public.expire_unstarted(noted_as bigint, before timestamp with time zone, INOUT after_id bigint, most integer, OUT looked_at integer, OUT pruned jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.forget_host(name text, done_by text, OUT refused text) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.prune_history(noted_as bigint, before timestamp with time zone, most integer, archiving boolean, OUT looked_at integer, OUT pruned jsonb, OUT archived text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.prune_letters(noted_as bigint, before timestamp with time zone, INOUT after_at timestamp with time zone, INOUT after_id bigint, most integer, with_waiting boolean, archiving boolean, OUT looked_at integer, OUT pruned jsonb, OUT archived text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.prune_runs(noted_as bigint, before timestamp with time zone, INOUT after_at timestamp with time zone, INOUT after_id bigint, most integer, with_waiting boolean, archiving boolean, OUT looked_at integer, OUT pruned jsonb, OUT archived text[]) FROM PUBLIC;
