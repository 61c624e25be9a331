-- What was done that no other table tells of. Nothing is changed here, and only old rows are pruned.
CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    done_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_by  text NOT NULL CHECK (length(done_by) BETWEEN 1 AND 255),
    action   text NOT NULL CHECK (action IN ('pruned', 'host_forgotten', 'signed_in')),
    -- What it was done to: the name of a host, of a user, of a program.
    object   text NOT NULL CHECK (length(object) BETWEEN 1 AND 255),
    detail   jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(detail) = 'object')
);

-- Lists of what was done, newest first, and what is old enough to be pruned.
CREATE INDEX audit_by_time ON audit (done_at, audit_id);
CREATE INDEX host_actions_by_time ON host_actions (done_at, action_id);
CREATE INDEX dead_letter_actions_by_time ON dead_letter_actions (done_at, action_id);

-- What ended or came in within the last minutes, and what is old enough to be pruned. A run has its
-- entry from its end on, so nothing is written here before.
CREATE INDEX runs_by_end ON runs (finished_at, run_id) WHERE finished_at IS NOT NULL;
-- Lists of runs that were added long ago.
CREATE INDEX runs_by_addition ON runs (created_at, run_id);
CREATE INDEX cancellations_by_time ON cancellations (received_at);
CREATE INDEX dead_letters_by_time ON dead_letters (arrived_at, letter_id);

-- When a job that one worker does for all is due. Null: these take turns whenever they can.
ALTER TABLE turns ADD COLUMN due_at timestamptz;
INSERT INTO turns (name, due_at) VALUES ('retention', '-infinity'), ('host_retention', '-infinity');

-- What became of a host stays on record when the host is forgotten.
ALTER TABLE host_actions DROP CONSTRAINT host_actions_host_fkey;

-- Also canceled by a prune, which finds runs that wait longer than records are kept.
ALTER TABLE runs
    DROP CONSTRAINT expired_before_it_started,
    ADD CONSTRAINT expired_before_it_started CHECK (
        NOT expired OR (status = 'canceled' AND host IS NULL)
    );

-- Rows are deleted by these functions alone, so that neither a worker nor an operator can remove
-- what is recent: when a run was added, a command received and a letter stored are times that no
-- role can write. Times are compared with them, and not only with `finished_at`, which workers set.
CREATE FUNCTION require_old(before timestamptz) RETURNS void LANGUAGE plpgsql AS
$$
BEGIN
    IF before > now() - interval '7 days' IS NOT FALSE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'records of the last 7 days are never pruned';
    END IF;
END
$$;

-- Adds up what was pruned in the row of `audit` that the prune began with, in the transaction that
-- prunes it: it is right also if the prune is killed.
CREATE FUNCTION note_pruned(noted_as bigint, numbers jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS
$$
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

-- Of the next `most` runs that ended before `before`, in the order of their ends: which can go. That
-- is a run that is over, of which nothing is left to be stopped, removed, decided or replayed. What
-- an abandoned host has left, nobody can look for any more.
-- Every statement of these functions finds its rows by an index, however few there were when its
-- plan was made. What is off counts as costly, and would be compiled for that (jit).
CREATE FUNCTION prunable_runs(
    before timestamptz, INOUT after_at timestamptz, INOUT after_id bigint, most integer,
    with_waiting boolean, locking boolean, OUT looked_at integer, OUT run_ids bigint[]
) LANGUAGE plpgsql SET search_path FROM CURRENT
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS
$$
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

-- Not jsonb: headers may have NUL characters.
CREATE FUNCTION letter_to_archive(letter dead_letters) RETURNS json
    LANGUAGE sql STABLE SET search_path FROM CURRENT AS
$$
    SELECT json_build_object('letter', to_json(letter), 'actions', (
               SELECT coalesce(json_agg(to_json(a) ORDER BY action_id), '[]')
                 FROM dead_letter_actions a WHERE a.letter_id = letter.letter_id))
$$;

-- Children before their parents. `pruned`: the number of rows, by table; `archived`: with
-- `archiving`, what they were, each run with all that belongs to it.
CREATE FUNCTION prune_runs(
    noted_as bigint, before timestamptz, INOUT after_at timestamptz, INOUT after_id bigint,
    most integer, with_waiting boolean, archiving boolean,
    OUT looked_at integer, OUT pruned jsonb, OUT archived text[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS
$$
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

-- Letters of runs that are not on record, or stay. Of the next `most`, in the order of arrival.
CREATE FUNCTION prunable_letters(
    before timestamptz, INOUT after_at timestamptz, INOUT after_id bigint, most integer,
    with_waiting boolean, locking boolean, OUT looked_at integer, OUT letter_ids bigint[]
) LANGUAGE plpgsql SET search_path FROM CURRENT
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS
$$
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

CREATE FUNCTION prune_letters(
    noted_as bigint, before timestamptz, INOUT after_at timestamptz, INOUT after_id bigint,
    most integer, with_waiting boolean, archiving boolean,
    OUT looked_at integer, OUT pruned jsonb, OUT archived text[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS
$$
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

-- The oldest `most` of what was done to hosts, and the oldest of `audit`.
CREATE FUNCTION prune_history(
    noted_as bigint, before timestamptz, most integer, archiving boolean,
    OUT looked_at integer, OUT pruned jsonb, OUT archived text[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off
    SET jit = off AS
$$
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

-- Of the next `most` queued runs, by id: those that were added before `before` expire, unless they
-- have a time of their own to start before. They are pruned once that is as long ago: until then, a
-- launcher that comes late learns that its run was canceled.
CREATE FUNCTION expire_unstarted(
    noted_as bigint, before timestamptz, INOUT after_id bigint, most integer,
    OUT looked_at integer, OUT pruned jsonb
) LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS
$$
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

-- Why a host must stay on record: the first of what it owns; null if it owns nothing.
CREATE FUNCTION host_owns(name text) RETURNS text
    LANGUAGE sql STABLE SET search_path FROM CURRENT SET enable_seqscan = off
    SET jit = off AS
$$
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

-- Forget a host that is not up and owns nothing. `refused`: why not; null: it is forgotten.
CREATE FUNCTION forget_host(name text, done_by text, OUT refused text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS
$$
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

-- These functions are for those whom roles.sql names.
REVOKE EXECUTE ON FUNCTION prune_runs, prune_letters, prune_history, expire_unstarted, forget_host
    FROM PUBLIC;
