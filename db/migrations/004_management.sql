-- 004_management: what becomes of keys, written down where nobody can change it, and retries that make no second key.
--
-- Plain SQL, as 001_api_keys to 003_conversations, which must have been applied: any number of times, by whoever may apply those.

-- All of it is one block: where it refuses, nothing is changed, also by a client that goes on after an error.
DO $migration$
DECLARE
    home      text := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'api_keys'::regclass);
    supabase  text;
    new_table text;
    existing  regclass;
    wanted    record;
    wrong     text;
    old       record;
BEGIN
    PERFORM set_config('search_path', home || ', pg_temp', true);

    -- 1. The tables, beside api_keys. Tables of these names that an application made are kept where they fit, and refused where they
    --    do not.
    FOR wanted IN SELECT * FROM (VALUES
        ('audit_log', 'id bigint, at timestamp with time zone, user_id text, key_id uuid, key_name text, key_prefix text, '
            'action text, actor text, actor_key uuid, source text, address text, details jsonb', 'id', '{id,at}'::text[]),
        ('idempotency_keys', 'user_id text, idempotency_key text, request text, key_id uuid, '
            'created_at timestamp with time zone', 'idempotency_key, user_id', '{created_at}')
    ) AS tables (name, columns, key, by_default) LOOP
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
        IF wrong IS NULL THEN
            SELECT 'these columns must have a default: ' || string_agg(attname, ', ') INTO wrong
                FROM pg_attribute WHERE attrelid = existing AND attname = ANY (wanted.by_default)
                AND NOT atthasdef AND attidentity = '';
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
    FOREACH new_table IN ARRAY ARRAY['audit_log', 'idempotency_keys'] LOOP
        CONTINUE WHEN to_regclass(new_table) IS NOT NULL;
        IF new_table = 'audit_log' THEN
            -- No foreign key: what was done to a key outlives it.
            CREATE TABLE audit_log (
                id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                at         timestamptz NOT NULL DEFAULT clock_timestamp(),
                user_id    text COLLATE "C" NOT NULL,   -- whose key; empty: everybody's
                key_id     uuid,
                key_name   text,                        -- as it was called then
                key_prefix text,
                action     text NOT NULL,
                actor      text NOT NULL,               -- who did it: by the API a user, by apikeyctl a user of that machine, else a role
                actor_key  uuid,                        -- by which key
                source     text NOT NULL,               -- api, apikeyctl, sql
                address    text,                        -- of whoever asked by the API
                details    jsonb NOT NULL DEFAULT '{}'  -- what was changed: [before, after] of each
            );
            -- What a user is shown: the latest first.
            CREATE INDEX audit_log_user_idx ON audit_log (user_id, id);
        ELSE
            CREATE TABLE idempotency_keys (
                user_id         text COLLATE "C" NOT NULL,
                idempotency_key text COLLATE "C" NOT NULL,
                request         text NOT NULL,          -- what was asked for with it
                key_id          uuid NOT NULL,          -- what was made of it
                created_at      timestamptz NOT NULL DEFAULT now(),
                PRIMARY KEY (user_id, idempotency_key)
            );
        END IF;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', new_table);
        -- Supabase's default privileges give its web roles everything, TRUNCATE too, which asks no policy.
        EXECUTE format('REVOKE ALL ON TABLE %I FROM PUBLIC', new_table);
        FOR supabase IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON TABLE %I FROM %I', new_table, supabase);
        END LOOP;
        RAISE NOTICE '%: made', new_table;
    END LOOP;

    COMMENT ON TABLE audit_log IS 'what was done to keys, by whom, and from where; rows are only ever added';
    COMMENT ON TABLE idempotency_keys IS 'which key a request with this Idempotency-Key has made; kept for 24 hours';

    -- 2. Rows are only ever added, by the triggers below. Its owner and superusers are held by this as well: who has to clear it away disables
    --    the trigger, and says so by that.
    CREATE OR REPLACE FUNCTION apikey_only_added() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RAISE EXCEPTION '% is not done to %: rows are only ever added to it', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = format('To clear away what is too old: ALTER TABLE %I.%I DISABLE TRIGGER apikey_only_added; and enable it again.',
                            TG_TABLE_SCHEMA, TG_TABLE_NAME);
END
$function$;

    CREATE OR REPLACE TRIGGER apikey_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION apikey_only_added();

    -- 3. Every change of a key, whoever makes it by whatever SQL. Who it was stands in settings of the transaction: apikey.actor,
    --    apikey.actor_key, apikey.source and apikey.address, as apikeyd and apikeyctl set them; else it is the role. Nothing of a key's secret
    --    or its hash is written down. SECURITY DEFINER, since nobody else may write to audit_log; its name is qualified.
    EXECUTE format($create$
CREATE OR REPLACE FUNCTION apikey_audit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    -- Columns of ours alone: what an application has beside them may be anything.
    before jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN jsonb_build_object(
        'id', OLD.id, 'user_id', OLD.user_id, 'name', OLD.name, 'prefix', OLD.prefix, 'key_hash', OLD.key_hash, 'scopes', OLD.scopes,
        'expires_at', OLD.expires_at, 'rotated_to', OLD.rotated_to) ELSE '{}' END;
    after  jsonb := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN jsonb_build_object(
        'id', NEW.id, 'user_id', NEW.user_id, 'name', NEW.name, 'prefix', NEW.prefix, 'key_hash', NEW.key_hash, 'scopes', NEW.scopes,
        'expires_at', NEW.expires_at, 'rotated_to', NEW.rotated_to) ELSE '{}' END;
    shown  jsonb := CASE WHEN TG_OP = 'DELETE' THEN before ELSE after END;
    was_active boolean := TG_OP = 'UPDATE' AND coalesce(OLD.is_active AND OLD.revoked_at IS NULL, false);
    is_active  boolean := TG_OP = 'UPDATE' AND coalesce(NEW.is_active AND NEW.revoked_at IS NULL, false);
    action text := CASE
        WHEN TG_OP = 'INSERT' THEN 'created'
        WHEN TG_OP = 'DELETE' THEN 'deleted'
        WHEN TG_OP = 'TRUNCATE' THEN 'emptied'
        WHEN before -> 'user_id' IS DISTINCT FROM after -> 'user_id' THEN 'moved'
        WHEN was_active AND NOT is_active THEN 'revoked'
        WHEN is_active AND NOT was_active THEN 'restored'
        WHEN before -> 'rotated_to' IS DISTINCT FROM after -> 'rotated_to' THEN 'rotated'
        WHEN before -> 'key_hash' IS DISTINCT FROM after -> 'key_hash' THEN 'reissued'
        WHEN before -> 'name' IS DISTINCT FROM after -> 'name' THEN 'renamed'
        ELSE 'changed' END;
    changed jsonb := (
        SELECT coalesce(jsonb_object_agg(name, jsonb_build_array(before -> of_column, after -> of_column)), '{}')
        FROM (VALUES ('name', 'name'), ('scopes', 'scopes'), ('expires_at', 'expiresAt'), ('rotated_to', 'rotatedTo'))
             AS watched (of_column, name)
        WHERE TG_OP <> 'DELETE' AND nullif(before -> of_column, 'null') IS DISTINCT FROM nullif(after -> of_column, 'null'));
    by_role text := current_setting('role');
BEGIN
    INSERT INTO %s.audit_log
        (user_id, key_id, key_name, key_prefix, action, actor, actor_key, source, address, details)
    SELECT whose, (shown ->> 'id')::uuid, shown ->> 'name', shown ->> 'prefix', action,
           coalesce(nullif(current_setting('apikey.actor', true), ''),
                    CASE by_role WHEN 'none' THEN session_user ELSE by_role END),
           nullif(current_setting('apikey.actor_key', true), '')::uuid,
           coalesce(nullif(current_setting('apikey.source', true), ''), 'sql'),
           nullif(current_setting('apikey.address', true), ''),
           changed
    -- Whose it was and whose it is; empty: everybody's.
    FROM (SELECT before ->> 'user_id' AS whose UNION SELECT after ->> 'user_id' UNION SELECT '' WHERE TG_OP = 'TRUNCATE') AS owners
    WHERE whose IS NOT NULL;
    RETURN NULL;
END
$function$
    $create$, home);

    CREATE OR REPLACE TRIGGER apikey_audit_rows AFTER INSERT OR DELETE ON api_keys
        FOR EACH ROW EXECUTE FUNCTION apikey_audit();

    -- Not where last_used_at alone moves.
    CREATE OR REPLACE TRIGGER apikey_audit_changes AFTER UPDATE ON api_keys
        FOR EACH ROW
        WHEN ((OLD.key_hash, OLD.id, OLD.user_id, OLD.name, OLD.prefix, OLD.scopes, OLD.is_active, OLD.revoked_at,
               OLD.expires_at, OLD.rotated_to)
              IS DISTINCT FROM
              (NEW.key_hash, NEW.id, NEW.user_id, NEW.name, NEW.prefix, NEW.scopes, NEW.is_active, NEW.revoked_at,
               NEW.expires_at, NEW.rotated_to))
        EXECUTE FUNCTION apikey_audit();

    CREATE OR REPLACE TRIGGER apikey_audit_emptied AFTER TRUNCATE ON api_keys
        FOR EACH STATEMENT EXECUTE FUNCTION apikey_audit();

    -- 4. Who may do what: a key holder reads what was done to its own keys, and may be given another secret for a key whose first one it has
    --    never seen; apikeyctl, as apikeyd, reads all of it.
    GRANT SELECT ON audit_log TO apikey_user, apikeyd;
    GRANT SELECT, INSERT, DELETE ON idempotency_keys TO apikey_user;
    GRANT UPDATE (key_hash, prefix) ON api_keys TO apikey_user;

    FOR old IN SELECT polname, polrelid::regclass AS of_table FROM pg_policy
               WHERE polrelid IN ('audit_log'::regclass, 'idempotency_keys'::regclass)
               AND polname IN ('apikey_user_reads', 'apikey_user_own', 'apikeyd_reads') LOOP
        EXECUTE format('DROP POLICY %I ON %s', old.polname, old.of_table);
    END LOOP;

    CREATE POLICY apikey_user_reads ON audit_log FOR SELECT TO apikey_user
        USING (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'));
    CREATE POLICY apikeyd_reads ON audit_log FOR SELECT TO apikeyd USING (true);
    CREATE POLICY apikey_user_own ON idempotency_keys TO apikey_user
        USING (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))
        WITH CHECK (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'));

    -- 5. Done.
    INSERT INTO apikey_schema (version) VALUES (4) ON CONFLICT DO NOTHING;
END
$migration$;
