-- 003_conversations: what users said and were answered, and the right of a key holder to bring in what was exported.
--
-- Plain SQL, as 001_api_keys and 002_usage, which must have been applied: any number of times, by whoever may apply those.

-- 1. The tables, beside api_keys. Tables of these names that an application made are kept where they fit, and refused before anything
--    is changed where they do not. One block, so that no table of ours is ever without row-level security.
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
        ('conversations', 'user_id text, id text, title text, model text, metadata jsonb, '
            'created_at timestamp with time zone, updated_at timestamp with time zone', 'id, user_id'),
        ('messages', 'user_id text, id text, conversation_id text, position bigint, role text, content text, '
            'metadata jsonb, created_at timestamp with time zone', 'id, user_id')
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
    FOREACH new_table IN ARRAY ARRAY['conversations', 'messages'] LOOP
        CONTINUE WHEN to_regclass(new_table) IS NOT NULL;
        IF new_table = 'conversations' THEN
            -- Ids are texts of the application's, and a user's own: whether another user has one cannot be found out.
            CREATE TABLE conversations (
                user_id    text COLLATE "C" NOT NULL,
                id         text COLLATE "C" NOT NULL,
                title      text NOT NULL DEFAULT '',
                model      text NOT NULL DEFAULT '',              -- none: empty
                metadata   jsonb NOT NULL DEFAULT '{}',
                created_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
                updated_at timestamptz NOT NULL DEFAULT now() CHECK (isfinite(updated_at)),
                PRIMARY KEY (user_id, id)
            );
            -- An export's order: one user's, by time.
            CREATE INDEX conversations_created_idx ON conversations (user_id, created_at, id);
        ELSE
            CREATE TABLE messages (
                user_id         text COLLATE "C" NOT NULL,
                id              text COLLATE "C" NOT NULL,
                conversation_id text COLLATE "C" NOT NULL,
                position        bigint NOT NULL,                  -- the order within the conversation
                role            text NOT NULL,
                content         text NOT NULL,
                metadata        jsonb NOT NULL DEFAULT '{}',
                created_at      timestamptz NOT NULL DEFAULT now() CHECK (isfinite(created_at)),
                PRIMARY KEY (user_id, id),
                FOREIGN KEY (user_id, conversation_id) REFERENCES conversations (user_id, id) ON DELETE CASCADE
            );
            CREATE UNIQUE INDEX messages_position_idx ON messages (user_id, conversation_id, position);
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

COMMENT ON TABLE conversations IS 'conversations of a user, whose ids are the user''s own';
COMMENT ON TABLE messages IS 'what was said in them, in the order of position';

-- 2. Who may do what: a key holder sees its own rows, and adds to them what an export had. Usage that was brought in is told from what
--    nginx counted by its source and the zero key_id, whatever a statement says.
GRANT SELECT (user_id, id, title, model, metadata, created_at, updated_at),
      INSERT (user_id, id, title, model, metadata, created_at, updated_at)
    ON conversations TO apikey_user;
GRANT SELECT (user_id, id, conversation_id, position, role, content, metadata, created_at),
      INSERT (user_id, id, conversation_id, position, role, content, metadata, created_at)
    ON messages TO apikey_user;
GRANT INSERT (user_id, key_id, bucket, endpoint, model, status, source, requests, tokens_in, tokens_out, tokens_cached,
              cost)
    ON usage_records TO apikey_user;

DO $migration$
DECLARE
    old record;
BEGIN
    FOR old IN SELECT polname, polrelid::regclass AS of_table FROM pg_policy
               WHERE polrelid IN ('conversations'::regclass, 'messages'::regclass, 'usage_records'::regclass)
               AND polname IN ('apikey_user_own', 'apikey_user_imports') LOOP
        EXECUTE format('DROP POLICY %I ON %s', old.polname, old.of_table);
    END LOOP;
END
$migration$;

CREATE POLICY apikey_user_own ON conversations TO apikey_user
    USING (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))
    WITH CHECK (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'));
CREATE POLICY apikey_user_own ON messages TO apikey_user
    USING (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))
    WITH CHECK (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'));
CREATE POLICY apikey_user_imports ON usage_records FOR INSERT TO apikey_user
    WITH CHECK (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
                AND source = 'import' AND key_id = '00000000-0000-0000-0000-000000000000');

-- 3. Done: but not where a client went on after block 1 refused.
INSERT INTO apikey_schema (version)
    SELECT 3 FROM pg_class WHERE oid = 'conversations'::regclass AND relrowsecurity
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'metadata' AND NOT attisdropped)
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'messages'::regclass AND attname = 'position' AND NOT attisdropped)
    ON CONFLICT DO NOTHING;
