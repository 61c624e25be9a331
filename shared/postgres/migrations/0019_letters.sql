-- Finds words anywhere in a text by an index: bodies have no words of a language to stem. It is
-- trusted (Postgres 13), so whoever may create objects in the database may create it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- An error without what differs from letter to letter: what is in quotes, paths and URLs, and words
-- with digits (numbers, UUIDs, addresses, times, most host names). Short enough for an index.
CREATE FUNCTION error_group(error text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$
    SELECT left(regexp_replace(regexp_replace(regexp_replace(regexp_replace(error,
        '"[^"]*"|(?<![[:alnum:]])''[^'']*''', '*', 'g'),
        '(?<![^[:space:](=,])(/|[a-z+]+://)[^[:space:],;)]+', '*', 'g'),
        '[[:alnum:]_.-]*[0-9]([[:alnum:]_.:-]*[[:alnum:]])?', '*', 'g'),
        '\*([ ,:]*\*)+', '*', 'g'), 200)
$$;

-- What is searched of a letter, in lower case and in ASCII: other bytes are escaped, so that it does
-- not depend on the locale what is a letter (in C, only ASCII is), and no byte is one too many.
-- Lower case as Unicode has it, where Postgres knows how.
DO $do$
DECLARE
    collation_name constant text := coalesce(
        (SELECT format('COLLATE %I', collname) FROM pg_collation
          WHERE collname IN ('und-x-icu', 'pg_c_utf8') AND getdatabaseencoding() = 'UTF8'
          ORDER BY collname DESC LIMIT 1), '');
BEGIN
    EXECUTE format($sql$
        CREATE FUNCTION letter_pattern(wanted text) RETURNS text
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
        $f$
            SELECT '%%' || regexp_replace(
                encode(convert_to(lower(wanted %1$s), 'UTF8'), 'escape'), '([%%_\\])', '\\\1', 'g'
            ) || '%%'
        $f$
    $sql$, collation_name);
    EXECUTE format($sql$
        CREATE FUNCTION letter_text(error text, body bytea) RETURNS text
            LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
        $f$
        DECLARE
            -- To index all 64 KiB takes 4 to 45 times the processor time of the insert alone. So it is
            -- 2 to 5 times, for JSON, text and random bytes.
            head bytea := substr(body, 1, 16384 + 1);
            size int := octet_length(head);
        BEGIN
            IF size > 16384 THEN
                size := 16384;
                -- The cut is not within a character: its further bytes are 10xxxxxx.
                WHILE size > 16384 - 3 AND get_byte(head, size) & 192 = 128 LOOP
                    size := size - 1;
                END LOOP;
                head := substr(head, 1, size);
            END IF;
            RETURN encode(convert_to(
                lower((error || E'\n' || convert_from(head, 'UTF8')) %1$s), 'UTF8'), 'escape');
        -- It is no text: most of its bytes are escaped, as four characters each.
        EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
            RETURN encode(convert_to(lower(error %1$s), 'UTF8'), 'escape') || E'\n'
                || lower(encode(substr(head, 1, 4096), 'escape'));
        END
        $f$
    $sql$, collation_name);
END
$do$;

-- A table of its own: each change of a row writes its entries of all indexes again, and a replay
-- changes letters, but no text.
CREATE TABLE dead_letter_texts (
    letter_id bigint PRIMARY KEY REFERENCES dead_letters ON DELETE CASCADE,
    content   text COLLATE "C" NOT NULL
);

SELECT set_config('maintenance_work_mem', '256MB', true);
INSERT INTO dead_letter_texts SELECT letter_id, letter_text(error, body) FROM dead_letters;
CREATE INDEX dead_letter_texts_by_content ON dead_letter_texts USING gin (content gin_trgm_ops);

CREATE FUNCTION keep_letter_text() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS
$$
BEGIN
    INSERT INTO dead_letter_texts SELECT letter_id, letter_text(error, body) FROM after;
    RETURN NULL;
END
$$;

CREATE TRIGGER dead_letter_texts_kept AFTER INSERT ON dead_letters
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION keep_letter_text();

-- As many characters as workers keep of each since now, so that an entry of the index below, which
-- may have 2,704 bytes, has room for all.
UPDATE dead_letters
   SET reason = left(reason, 64), requested_by = left(requested_by, 255),
       publisher = left(publisher, 255)
 WHERE length(reason) > 64 OR length(requested_by) > 255 OR length(publisher) > 255;
-- Workers of the version before, which run on while this is applied, keep up to 1,000. A letter that
-- they could not store would be delivered to them again and again, and RabbitMQ 4 drops it at last.
CREATE FUNCTION cut_letter() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    NEW.reason := left(NEW.reason, 64);
    NEW.requested_by := left(NEW.requested_by, 255);
    NEW.publisher := left(NEW.publisher, 255);
    RETURN NEW;
END
$$;
CREATE TRIGGER dead_letters_cut BEFORE INSERT ON dead_letters
    FOR EACH ROW WHEN (length(NEW.reason) > 64 OR length(NEW.requested_by) > 255
                       OR length(NEW.publisher) > 255)
    EXECUTE FUNCTION cut_letter();
ALTER TABLE dead_letters
    ADD COLUMN error_group text NOT NULL GENERATED ALWAYS AS (error_group(error)) STORED;

-- Lists and counts, whatever their filters, read this alone and no letter (but those of the page).
DROP INDEX dead_letters_by_state;
CREATE INDEX dead_letters_by_state ON dead_letters (state, letter_id) INCLUDE (
    arrived_at, reason, error_group, publisher, requested_by, run_id, replays, full_size);

-- What became of a replayed letter.
CREATE INDEX dead_letters_by_replay ON dead_letters (replay_of) WHERE replay_of IS NOT NULL;

ALTER TABLE dead_letter_actions ADD COLUMN note text CHECK (length(note) <= 1000);
