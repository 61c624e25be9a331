-- Messages that could not be carried out, as the keeper found them in runs.cancel.dead.
CREATE TABLE dead_letters (
    letter_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Tells a letter that is delivered again from another one that looks the same.
    letter_key   text NOT NULL UNIQUE,
    digest       bytea NOT NULL,
    state        text NOT NULL DEFAULT 'waiting' CHECK (
        state IN ('waiting', 'replayed', 'discarded')
    ),
    arrived_at   timestamptz NOT NULL DEFAULT now(),

    reason       text NOT NULL,
    error        text NOT NULL,
    attempts     integer NOT NULL CHECK (attempts >= 1),
    first_failed_at timestamptz,
    last_failed_at  timestamptz,
    exchange     text NOT NULL,
    routing_key  text NOT NULL,
    via          text NOT NULL CHECK (via IN ('rest', 'direct', 'replay')),
    publisher    text,

    -- What its body says, as far as it can be read.
    command_id   uuid,
    run_id       bigint,
    requested_by text,

    -- The message itself.
    body         bytea NOT NULL,
    message_id   text,
    correlation_id text,
    type         text,
    app_id       text,
    content_type text,
    content_encoding text,
    -- Not jsonb: that has no place for NUL characters.
    headers      json NOT NULL DEFAULT '{}' CHECK (json_typeof(headers) = 'object'),

    -- How often it has been replayed, the lives before this one included, and the letter before.
    replays      integer NOT NULL DEFAULT 0 CHECK (replays >= 0),
    replay_of    bigint
);

CREATE INDEX dead_letters_by_state ON dead_letters (state, letter_id);
CREATE INDEX dead_letters_by_digest ON dead_letters USING hash (digest);
CREATE INDEX dead_letters_by_run ON dead_letters (run_id) WHERE run_id IS NOT NULL;

-- Who did what with a letter. Nothing is taken away from here.
CREATE TABLE dead_letter_actions (
    action_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letter_id  bigint NOT NULL REFERENCES dead_letters,
    action     text NOT NULL CHECK (action IN ('replayed', 'edited', 'discarded')),
    done_at    timestamptz NOT NULL DEFAULT now(),
    done_by    text NOT NULL,
    -- The command that went out in its place, where the body was edited.
    command_id uuid,
    body       bytea,
    CONSTRAINT edited_has_its_command CHECK (
        (action = 'edited') = (command_id IS NOT NULL AND body IS NOT NULL)
    )
);

CREATE INDEX dead_letter_actions_by_letter ON dead_letter_actions (letter_id);
