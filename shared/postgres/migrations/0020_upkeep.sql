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
CREATE INDEX cancellations_by_time ON cancellations (received_at);
CREATE INDEX dead_letters_by_time ON dead_letters (arrived_at, letter_id);
