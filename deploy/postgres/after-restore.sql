-- After a restore, before programs connect again, as the owner of the tables (docs/backup.md):
--   psql --dbname=run_cancel --file=deploy/postgres/after-restore.sql
\set ON_ERROR_STOP on
BEGIN;

-- Numbers that were given out since the backup are not given out again: consumers ignore an event
-- whose number they have seen, and operators know dead letters by theirs.
DO $$
DECLARE
    numbered record;
BEGIN
    FOR numbered IN
        SELECT pg_get_serial_sequence(format('%I.%I', table_schema, table_name), column_name)
                   AS sequence
          FROM information_schema.columns
         WHERE table_schema = current_schema() AND is_identity = 'YES'
    LOOP
        PERFORM setval(numbered.sequence, nextval(numbered.sequence) + 1000000000);
    END LOOP;
END
$$;

-- A run that is queued again may have started since the backup. Before it expires, the workers have
-- some time to say so.
UPDATE runs SET start_before = clock_timestamp() + interval '10 minutes'
 WHERE status = 'queued' AND start_before < clock_timestamp() + interval '10 minutes';

COMMIT;
