-- What happened and is still to be told. A row is written by the statement that made it happen, so
-- that there is neither without the other, and is removed once RabbitMQ has confirmed it.
CREATE TABLE outbox (
    -- Of two events of a run, the later one has the higher number: whatever happens to a run or to
    -- a command on it happens under the lock of the run's row.
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type     text NOT NULL CHECK (type IN ('run.finished', 'cancel.settled')),
    run_id   bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    data     jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object')
);

-- Locked by whoever publishes: two at once would tell a run's events out of order.
INSERT INTO turns (name) VALUES ('relay');

-- Triggers, and of statements, not of rows: no statement can forget its event, and for a batch it is
-- one INSERT more. With the owner's rights: what happens is told, and nothing else can be.
CREATE FUNCTION tell_finished() RETURNS trigger
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
    RETURN NULL;
END
$$;

CREATE TRIGGER runs_finished AFTER UPDATE ON runs
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tell_finished();

CREATE FUNCTION tell_settled() RETURNS trigger
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
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION settled(command cancellations) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$
    SELECT jsonb_build_object(
        'run_id', command.run_id, 'command_id', command.command_id, 'outcome', command.outcome,
        'requested_by', command.requested_by, 'reason', command.reason, 'via', command.via,
        'publisher', command.publisher, 'ended', command.evidence -> 'ended',
        'proof', command.evidence -> 'proof')
$$;

CREATE TRIGGER cancellations_settled AFTER INSERT ON cancellations
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tell_settled();
CREATE TRIGGER cancellations_settled_later AFTER UPDATE ON cancellations
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tell_settled();
