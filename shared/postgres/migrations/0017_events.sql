-- Where the outcome of a command is also sent: RabbitMQ's direct reply-to, and the id by which its
-- publisher finds the answer.
ALTER TABLE cancellations
    ADD COLUMN reply_to       text CHECK (reply_to ~ '^amq\.rabbitmq\.reply-to\.[!-~]{1,200}$'),
    ADD COLUMN correlation_id text CHECK (length(correlation_id) <= 255);
ALTER TABLE dead_letters
    ADD COLUMN reply_to text CHECK (reply_to ~ '^amq\.rabbitmq\.reply-to\.[!-~]{1,200}$');
-- An edited registration is no command.
ALTER TABLE dead_letter_actions
    DROP CONSTRAINT edited_has_its_command,
    ADD CONSTRAINT edited_has_its_body CHECK (
        (action = 'edited') = (body IS NOT NULL) AND (action = 'edited' OR command_id IS NULL)
    );
ALTER TABLE outbox
    -- 0: a rejected message that names no run.
    ADD COLUMN reply_to       text,
    ADD COLUMN correlation_id text,
    DROP CONSTRAINT outbox_type_check,
    ADD CONSTRAINT outbox_type_check CHECK (
        type IN ('run.registered', 'run.started', 'run.canceling', 'run.finished', 'run.rejected',
                 'cancel.settled', 'cancel.rejected', 'dead_letter')
    );

CREATE FUNCTION tell_registered() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS
$$
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

CREATE TRIGGER runs_registered AFTER INSERT ON runs
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tell_registered();

-- How a run ended, in one word: as its evidence says, where it was canceled.
CREATE FUNCTION how_ended(run runs) RETURNS text LANGUAGE sql STABLE AS
$$
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

-- As before, and the steps before the end are told too.
CREATE OR REPLACE FUNCTION tell_finished() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    SET enable_nestloop = off SET enable_seqscan = off AS
$$
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

CREATE OR REPLACE FUNCTION settled(command cancellations) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$
    SELECT jsonb_build_object(
        'run_id', command.run_id, 'command_id', command.command_id, 'outcome', command.outcome,
        'requested_by', command.requested_by, 'reason', command.reason, 'via', command.via,
        'publisher', command.publisher, 'force', command.force,
        'ended', command.evidence -> 'ended', 'proof', command.evidence -> 'proof',
        'duration_ms', command.evidence -> 'duration_ms',
        'containers', coalesce(jsonb_array_length(command.evidence -> 'containers'), 0))
$$;

-- As before, with the address of the publisher that waits for the answer.
CREATE OR REPLACE FUNCTION tell_settled() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_nestloop = off AS
$$
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

CREATE FUNCTION rejected(letter dead_letters) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$
    SELECT jsonb_build_object(
        'letter_id', letter.letter_id, 'run_id', letter.run_id, 'command_id', letter.command_id,
        'reason', letter.reason, 'error', letter.error, 'requested_by', letter.requested_by,
        'via', letter.via, 'publisher', letter.publisher)
$$;

CREATE FUNCTION tell_rejected() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS
$$
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

CREATE TRIGGER dead_letters_kept AFTER INSERT ON dead_letters
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tell_rejected();
