-- How many bytes the body of a message had, of which only the head is kept; NULL: `body` is all of it.
ALTER TABLE dead_letters
    ADD COLUMN full_size bigint CHECK (full_size > octet_length(body));
