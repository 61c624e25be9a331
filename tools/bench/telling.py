"""Events off and on: the triggers of a database without what writes events, and as they are."""

from typing import Final

import asyncpg

_FUNCTIONS: Final = "tell_registered", "tell_finished", "tell_settled", "tell_rejected"
_DEFINITIONS: Final = """
    SELECT pg_get_functiondef(oid) FROM pg_proc
     WHERE proname = ANY ($1) AND pronamespace = current_schema()::regnamespace
"""
# What the triggers do besides: labels to look up, commands that end with their run, and the dead
# letters of failed stops.
_SILENT: Final = """
    CREATE OR REPLACE FUNCTION tell_registered() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS
    $$
    BEGIN
        INSERT INTO run_labels (label, run_id)
        SELECT key || ':' || value, run_id FROM after, jsonb_each_text(labels)
         WHERE labels <> '{}';
        RETURN NULL;
    END
    $$;
    CREATE OR REPLACE FUNCTION tell_finished() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
        SET enable_nestloop = off SET enable_seqscan = off AS
    $$
    DECLARE
        ended bigint[];
    BEGIN
        SELECT array_agg(run_id) INTO ended FROM after JOIN before USING (run_id)
         WHERE after.finished_at IS NOT NULL AND before.finished_at IS NULL;
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
    CREATE OR REPLACE FUNCTION tell_settled() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
        SET enable_nestloop = off AS
    $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
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
    CREATE OR REPLACE FUNCTION tell_rejected() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS
    $$ BEGIN RETURN NULL; END $$;
"""


class Telling:
    def __init__(self, database: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._database = database
        self._as_migrated: list[str] = []

    async def remember(self) -> None:
        """Keep the triggers as they are now, to come back to."""
        rows = await self._database.fetch(_DEFINITIONS, [*_FUNCTIONS])
        self._as_migrated = [row[0] for row in rows]

    async def turn(self, *, on: bool) -> None:
        for statement in self._as_migrated if on else [_SILENT]:
            await self._database.execute(statement)
