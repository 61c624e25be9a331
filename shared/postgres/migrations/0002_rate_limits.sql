ALTER TABLE tokens RENAME COLUMN rate_limit TO write_limit;
ALTER TABLE tokens RENAME CONSTRAINT tokens_rate_limit_check TO tokens_write_limit_check;
ALTER TABLE tokens ADD COLUMN read_limit integer CHECK (read_limit >= 1);

-- What a token or a client address has spent of a budget in its current window. Unlogged: no
-- request waits for the disk because of it, and after a crash of Postgres every window begins anew.
CREATE UNLOGGED TABLE rate_windows (
    spender   text NOT NULL,
    budget    text NOT NULL CHECK (budget IN ('read', 'write', 'anonymous')),
    used      integer NOT NULL CHECK (used >= 1),
    resets_at timestamptz NOT NULL,
    PRIMARY KEY (spender, budget)
) WITH (fillfactor = 50);
