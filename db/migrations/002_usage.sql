-- 002_usage: what keys were used for, and which batches of it have been counted.
--
-- Plain SQL, as 001_api_keys, which must have been applied: any number of times, by whoever may apply that one.

-- 1. The tables, beside api_keys. Tables of these names that are not ours, as an application may have, are refused before
--    anything is changed. One block, so that no table of ours is ever without row-level security.
DO $migration$
DECLARE
    home      text := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'api_keys'::regclass);
    supabase  text;
    new_table text;
    existing  regclass;
    wanted    record;
    wrong     text;
BEGIN
    PERFORM set_config('search_path', home || ', pg_temp', true);
    FOR wanted IN SELECT * FROM (VALUES
        ('usage_records', 'user_id text, key_id uuid, bucket timestamp with time zone, endpoint text, model text, '
            'status text, source text, requests bigint, tokens_in bigint, tokens_out bigint, tokens_cached bigint, '
            'cost numeric', 'bucket, endpoint, key_id, model, source, status, user_id'),
        ('usage_sources', 'zone uuid, slot bigint, applied int8multirange', 'slot, zone')
    ) AS tables (name, columns, key) LOOP
        existing := to_regclass(wanted.name);
        CONTINUE WHEN existing IS NULL;
        SELECT string_agg(format('%s must be %s', split_part(each, ' ', 1), substr(each, strpos(each, ' ') + 1)), ', ')
            INTO wrong FROM unnest(string_to_array(wanted.columns, ', ')) AS each
            WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = existing AND attnum > 0 AND NOT attisdropped
                              AND attname || ' ' || format_type(atttypid, NULL) = each);
        IF wrong IS NULL THEN
            SELECT 'these columns must have a default or be nullable: ' || string_agg(attname, ', ') INTO wrong
                FROM pg_attribute WHERE attrelid = existing AND attnum > 0 AND NOT attisdropped AND attnotnull
                AND NOT atthasdef AND attidentity = ''
                AND attname <> ALL (SELECT split_part(each, ' ', 1)
                                    FROM unnest(string_to_array(wanted.columns, ', ')) AS each);
        END IF;
        IF (SELECT relkind FROM pg_class WHERE oid = existing) NOT IN ('r', 'p') THEN
            wrong := 'it is no table';
        ELSIF wrong IS NULL AND NOT EXISTS (
            SELECT FROM pg_index WHERE indrelid = existing AND indisunique AND indisvalid AND indpred IS NULL
            AND indexprs IS NULL AND wanted.key =
                (SELECT string_agg(attname, ', ' ORDER BY attname COLLATE "C") FROM pg_attribute
                 WHERE attrelid = existing AND attnum = ANY (indkey[0:indnkeyatts - 1]))) THEN
            wrong := format('there must be a unique index on (%s)', wanted.key);
        END IF;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION 'the existing %.% is not the table that apikeyd needs: %', home, wanted.name, wrong
                USING HINT = format('If it is the application''s, rename it: ALTER TABLE %s.%I RENAME TO ...; then migrate '
                                    'again.', home, wanted.name);
        END IF;
        IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = existing) THEN
            RAISE EXCEPTION '%.% exists without row-level security', home, wanted.name
                USING HINT = format('ALTER TABLE %s.%I ENABLE ROW LEVEL SECURITY; then migrate again.', home, wanted.name);
        END IF;
    END LOOP;
    FOREACH new_table IN ARRAY ARRAY['usage_records', 'usage_sources'] LOOP
        CONTINUE WHEN to_regclass(new_table) IS NOT NULL;
        IF new_table = 'usage_records' THEN
            -- One row per key, minute (or whatever usage.bucket says), endpoint, model and outcome. No foreign key: usage
            -- outlives its key. Texts are ordered by their bytes: nobody reads them in a language's order, and sorting is
            -- most of what merging costs. The primary key's order is an export's: one user's, by time.
            CREATE TABLE usage_records (
                user_id       text COLLATE "C" NOT NULL,
                key_id        uuid NOT NULL,                      -- imported: the zero uuid
                bucket        timestamptz NOT NULL CHECK (isfinite(bucket)),
                endpoint      text COLLATE "C" NOT NULL,
                model         text COLLATE "C" NOT NULL,          -- none: empty
                status        text COLLATE "C" NOT NULL CHECK (status IN ('success', 'error')),
                source        text COLLATE "C" NOT NULL DEFAULT 'live' CHECK (source IN ('live', 'import')),
                requests      bigint NOT NULL DEFAULT 0 CHECK (requests >= 0),
                tokens_in     bigint NOT NULL DEFAULT 0 CHECK (tokens_in >= 0),
                tokens_out    bigint NOT NULL DEFAULT 0 CHECK (tokens_out >= 0),
                tokens_cached bigint NOT NULL DEFAULT 0 CHECK (tokens_cached >= 0),
                cost          numeric NOT NULL DEFAULT 0 CHECK (cost >= 0 AND cost < 'Infinity'),
                PRIMARY KEY (user_id, bucket, key_id, endpoint, model, status, source)
            ) WITH (fillfactor = 70);   -- a bucket's row grows until its time is over: room keeps those updates HOT
            -- For what is too old (usage.keep), and for everybody's usage of a day.
            CREATE INDEX usage_records_bucket_idx ON usage_records (bucket);
        ELSE
            CREATE TABLE usage_sources (
                zone    uuid NOT NULL,      -- 128 random bits of nginx's shared memory
                slot    bigint NOT NULL,    -- of a worker, in it
                applied int8multirange NOT NULL DEFAULT '{}',
                PRIMARY KEY (zone, slot)
            ) WITH (fillfactor = 30);       -- few rows, each of them changed all the time
        END IF;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', new_table);
        -- Supabase's default privileges give its web roles everything, TRUNCATE too, which asks no policy.
        EXECUTE format('REVOKE ALL ON TABLE %I FROM PUBLIC', new_table);
        FOR supabase IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON TABLE %I FROM %I', new_table, supabase);
        END LOOP;
        RAISE NOTICE '%: made', new_table;
    END LOOP;
END
$migration$;

COMMENT ON TABLE usage_records IS 'what keys were used for, by time, endpoint, model and outcome';
COMMENT ON COLUMN usage_records.source IS 'live: counted by nginx; import: brought by the user, under the zero key_id';
COMMENT ON TABLE usage_sources IS 'which batches of each worker''s slot are counted in usage_records';

-- 2. Who may do what: a key holder sees its own rows; apikeyd merges, and deletes what is too old.
GRANT SELECT ON usage_records TO apikey_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_records TO apikeyd;
GRANT SELECT, INSERT, UPDATE ON usage_sources TO apikeyd;
GRANT UPDATE (last_used_at) ON api_keys TO apikeyd;

DO $migration$
DECLARE
    old record;
BEGIN
    FOR old IN SELECT polname, polrelid::regclass AS of_table FROM pg_policy
               WHERE polrelid IN ('api_keys'::regclass, 'usage_records'::regclass, 'usage_sources'::regclass)
               AND polname IN ('apikey_user_reads', 'apikeyd_serves', 'apikeyd_updates') LOOP
        EXECUTE format('DROP POLICY %I ON %s', old.polname, old.of_table);
    END LOOP;
    -- Batches are gathered in temporary tables. Everybody may make those, unless somebody took that away.
    IF NOT has_database_privilege('apikeyd', current_database(), 'TEMPORARY') THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO apikeyd', current_database());
        IF NOT has_database_privilege('apikeyd', current_database(), 'TEMPORARY') THEN
            RAISE EXCEPTION 'role apikeyd may not make temporary tables'
                USING HINT = format('The owner of the database must run: GRANT TEMPORARY ON DATABASE %I TO apikeyd;',
                                    current_database());
        END IF;
    END IF;
END
$migration$;

CREATE POLICY apikey_user_reads ON usage_records FOR SELECT TO apikey_user
    USING (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'));
CREATE POLICY apikeyd_serves ON usage_records TO apikeyd USING (true) WITH CHECK (true);
CREATE POLICY apikeyd_serves ON usage_sources TO apikeyd USING (true) WITH CHECK (true);
-- The grant above says of which column.
CREATE POLICY apikeyd_updates ON api_keys FOR UPDATE TO apikeyd USING (true) WITH CHECK (true);

-- 3. Done: but not where a client went on after block 1 refused.
INSERT INTO apikey_schema (version)
    SELECT 2 FROM pg_class WHERE oid = 'usage_records'::regclass AND relrowsecurity
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'source' AND NOT attisdropped)
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'usage_sources'::regclass AND attname = 'applied')
    ON CONFLICT DO NOTHING;
