-- A delivery is acknowledged as soon as what it asks for is on record. What its letter would be made
-- of stays here until the command has its outcome: the message's header, as AMQP encodes it
-- (0-9-1, 4.2.6.1), and its body.
ALTER TABLE cancellations
    ADD COLUMN message_header bytea,
    ADD COLUMN message_body   bytea;

ALTER TABLE outbox
    ADD COLUMN message_header bytea,
    ADD COLUMN message_body   bytea,
    DROP CONSTRAINT outbox_type_check,
    ADD CONSTRAINT outbox_type_check
        CHECK (type IN ('run.finished', 'cancel.settled', 'dead_letter'));

CREATE INDEX outbox_letters ON outbox (event_id) WHERE type = 'dead_letter';

-- Whoever closes a command, by which statement ever.
CREATE FUNCTION forget_message() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    NEW.message_header := NULL;
    NEW.message_body := NULL;
    RETURN NEW;
END
$$;

CREATE TRIGGER cancellations_closed BEFORE UPDATE ON cancellations
    FOR EACH ROW WHEN (NEW.outcome IS NOT NULL AND NEW.message_header IS NOT NULL)
    EXECUTE FUNCTION forget_message();

-- The evidence of a command that gets an outcome: what the first of several failed stops left is kept.
CREATE FUNCTION keeping_earlier(evidence jsonb, on_record jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE AS
$$
    SELECT evidence || CASE on_record WHEN '{}' THEN '{}'
        ELSE jsonb_build_object('earlier', coalesce(on_record -> 'earlier', on_record)) END
$$;

-- As before; and what is open on a run that ends is answered, however the run came to its end. Here,
-- and not in the statement that ended it: that looked for commands before it had the run's lock, and
-- would pass over one that was recorded while it waited.
CREATE OR REPLACE FUNCTION tell_finished() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS
$$
BEGIN
    INSERT INTO outbox (type, run_id, data)
    SELECT 'run.finished', run_id,
           jsonb_build_object('run_id', run_id, 'status', after.status,
                              'exit_code', after.exit_code, 'error', after.error,
                              'proof', after.proof)
      FROM after JOIN before USING (run_id)
     WHERE after.finished_at IS NOT NULL AND before.finished_at IS NULL
     ORDER BY run_id;
    UPDATE cancellations c
       SET outcome = 'no_op', finished_at = clock_timestamp(),
           evidence = c.evidence || jsonb_build_object('run_status', after.status)
      FROM after JOIN before USING (run_id)
     WHERE c.run_id = after.run_id AND c.outcome IS NULL
       AND after.status IN ('pass', 'fail', 'canceled') AND before.finished_at IS NULL;
    RETURN NULL;
END
$$;

-- As before, and a command whose stop failed gets its dead letter: neither without the other.
CREATE OR REPLACE FUNCTION tell_settled() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS
$$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO outbox (type, run_id, data)
        SELECT 'cancel.settled', run_id, settled(after) FROM after
         WHERE outcome IS NOT NULL
         ORDER BY command_id;
    ELSE
        INSERT INTO outbox (type, run_id, data)
        SELECT 'cancel.settled', after.run_id, settled(after)
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
