-- As before (0013), but the commands of a run that ended are updated only where one is open. Most
-- runs end with none, and an UPDATE that finds no row still costs its triggers: 0.1 ms of each
-- cancel of a queued run.
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
    IF EXISTS (
        SELECT FROM after JOIN cancellations c USING (run_id)
         WHERE c.outcome IS NULL AND after.status IN ('pass', 'fail', 'canceled')
    ) THEN
        UPDATE cancellations c
           SET outcome = 'no_op', finished_at = clock_timestamp(),
               evidence = c.evidence || jsonb_build_object('run_status', after.status)
          FROM after JOIN before USING (run_id)
         WHERE c.run_id = after.run_id AND c.outcome IS NULL
           AND after.status IN ('pass', 'fail', 'canceled') AND before.finished_at IS NULL;
    END IF;
    RETURN NULL;
END
$$;
