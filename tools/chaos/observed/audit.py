"""Triggers that keep every change of the rows that promises are about.

They commit with the change itself, so that no killed program and no crash of Postgres can hide one.
"""

from typing import Final

import asyncpg

INSTALL: Final = """
    -- One order of all changes. What is about one run is changed under the lock of its row.
    CREATE SEQUENCE places;
    CREATE TABLE run_transitions (
        place       bigint PRIMARY KEY DEFAULT nextval('places'),
        transaction bigint NOT NULL DEFAULT txid_current(),
        at          timestamptz NOT NULL DEFAULT clock_timestamp(),
        run_id      bigint NOT NULL,
        before      jsonb,
        after       jsonb
    );
    CREATE TABLE command_changes (
        place       bigint PRIMARY KEY DEFAULT nextval('places'),
        transaction bigint NOT NULL DEFAULT txid_current(),
        at          timestamptz NOT NULL DEFAULT clock_timestamp(),
        command_id  uuid NOT NULL,
        before      jsonb,
        after       jsonb
    );
    CREATE TABLE letter_changes (
        place       bigint PRIMARY KEY DEFAULT nextval('places'),
        transaction bigint NOT NULL DEFAULT txid_current(),
        at          timestamptz NOT NULL DEFAULT clock_timestamp(),
        after       jsonb NOT NULL
    );

    CREATE FUNCTION keep_run_transition() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO run_transitions (run_id, before, after)
        VALUES (coalesce(NEW.run_id, OLD.run_id), to_jsonb(OLD), to_jsonb(NEW));
        RETURN NULL;
    END $$;
    CREATE FUNCTION keep_command_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO command_changes (command_id, before, after)
        VALUES (coalesce(NEW.command_id, OLD.command_id), to_jsonb(OLD), to_jsonb(NEW));
        RETURN NULL;
    END $$;
    CREATE FUNCTION keep_letters() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO letter_changes (after) SELECT to_jsonb(l) FROM after l ORDER BY letter_id;
        RETURN NULL;
    END $$;

    CREATE TRIGGER keep_run_transition AFTER INSERT OR UPDATE OR DELETE ON runs
        FOR EACH ROW EXECUTE FUNCTION keep_run_transition();
    CREATE TRIGGER keep_command_change AFTER INSERT OR UPDATE OR DELETE ON cancellations
        FOR EACH ROW EXECUTE FUNCTION keep_command_change();
    -- By its name, after the product's own, which takes the lock of the run.
    CREATE TRIGGER keep_letters AFTER INSERT ON dead_letters
        REFERENCING NEW TABLE AS after
        FOR EACH STATEMENT EXECUTE FUNCTION keep_letters();
"""

RUN_TRANSITIONS: Final = "SELECT * FROM run_transitions ORDER BY place"
COMMAND_CHANGES: Final = "SELECT * FROM command_changes ORDER BY place"
LETTER_CHANGES: Final = "SELECT * FROM letter_changes ORDER BY place"


async def install(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(INSTALL)
    finally:
        await connection.close()
