-- A connection plans a trigger's statements once, for as many rows as there are at that time: as a
-- rule for a statement of one row, and on a new installation for tables that are empty. By such a
-- plan, a batch of 500 compared each row with each, and the end of a run looked through all
-- commands. So neither nested loops nor whole tables are to be thought of. And in most updates of
-- runs nothing ends: then there is nothing to look for.
CREATE OR REPLACE FUNCTION tell_finished() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    SET enable_nestloop = off SET enable_seqscan = off AS
$$
DECLARE
    ended bigint[];
BEGIN
    WITH told AS (
        INSERT INTO outbox (type, run_id, data)
        SELECT 'run.finished', run_id,
               jsonb_build_object('run_id', run_id, 'status', after.status,
                                  'exit_code', after.exit_code, 'error', after.error,
                                  'proof', after.proof)
          FROM after JOIN before USING (run_id)
         WHERE after.finished_at IS NOT NULL AND before.finished_at IS NULL
         ORDER BY run_id
        RETURNING run_id
    )
    SELECT array_agg(run_id) INTO ended FROM told;
    -- An UPDATE costs its triggers as well, also where it finds nothing.
    IF EXISTS (SELECT FROM cancellations WHERE run_id = ANY (ended) AND outcome IS NULL) THEN
        UPDATE cancellations c
           SET outcome = 'no_op', finished_at = clock_timestamp(),
               evidence = c.evidence || jsonb_build_object('run_status', r.status)
          FROM after r
         WHERE c.run_id = ANY (ended) AND c.outcome IS NULL
           AND r.run_id = c.run_id AND r.status IN ('pass', 'fail', 'canceled');
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION tell_settled() SET enable_nestloop = off;
