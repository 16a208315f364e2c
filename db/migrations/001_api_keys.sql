-- 001_api_keys: the table of API keys, who may see what of it, and the notices that carry a change to Redis.
--
-- Plain SQL: `apikeyctl migrate` applies it, and so do the Supabase CLI and psql as it is. It may run any
-- number of times. All names are those of the connection's search_path (public unless told otherwise): the
-- table is looked up there, and made in the first schema of it when there is none.
--
-- Who may apply it: a superuser, or the owner of api_keys (or, where there is none, of a schema to make it in)
-- who may create roles. The application goes on owning the table: row-level security is enabled, not forced.

-- 1. The table. A table that an application made before is kept: what it lacks is added, nullable, and
--    nothing that its own SQL relies on changes. One block, so that no table of ours is ever without RLS.
DO $migration$
DECLARE
    existing  regclass := to_regclass('api_keys');
    missing   text;
    supabase  text;
BEGIN
    IF existing IS NULL THEN
        CREATE TABLE api_keys (
            id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            user_id      text NOT NULL,
            name         text NOT NULL,
            key_hash     text NOT NULL UNIQUE CHECK (key_hash ~ '^[0-9a-f]{64}$'),
            prefix       text NOT NULL,
            created_at   timestamptz NOT NULL DEFAULT now(),
            last_used_at timestamptz,
            is_active    boolean NOT NULL DEFAULT true,
            scopes       text[],
            expires_at   timestamptz,
            revoked_at   timestamptz,
            rotated_to   uuid
        ) WITH (fillfactor = 70);   -- last_used_at changes all the time: room keeps those updates HOT
        ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
        -- Supabase's default privileges give its web roles everything, TRUNCATE too, which asks no policy.
        REVOKE ALL ON TABLE api_keys FROM PUBLIC;
        FOR supabase IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON TABLE api_keys FROM %I', supabase);
        END LOOP;
        RAISE NOTICE 'api_keys: made';
    ELSE
        IF (SELECT relkind FROM pg_class WHERE oid = existing) <> 'r' THEN
            RAISE EXCEPTION 'api_keys exists and is not an ordinary table'
                USING HINT = 'Rename it, or let the connection''s search_path name another schema first.';
        END IF;
        SELECT string_agg(wanted, ', ') INTO missing
            FROM unnest(ARRAY['id', 'user_id', 'name', 'key_hash', 'prefix', 'created_at',
                              'last_used_at', 'is_active']) AS wanted
            WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = existing AND attname = wanted
                              AND NOT attisdropped);
        IF missing IS NOT NULL THEN
            RAISE EXCEPTION 'the existing table api_keys lacks: %', missing
                USING HINT = 'Add these columns (docs/operations.md lists their types), then migrate again.';
        END IF;
        IF NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
                       WHERE i.indrelid = existing AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1
                       AND i.indpred IS NULL AND a.attname = 'key_hash' AND i.indkey[0] = a.attnum) THEN
            RAISE EXCEPTION 'api_keys.key_hash is not unique'
                USING HINT = 'ALTER TABLE api_keys ADD UNIQUE (key_hash); then migrate again.';
        END IF;
        IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = existing) THEN
            IF coalesce(current_setting('apikey.enable_rls', true), '') <> 'on' THEN
                RAISE EXCEPTION 'api_keys exists without row-level security'
                    USING DETAIL = 'Enabling it changes nothing for the table''s owner and for superusers. Every '
                                   'other role of the application then sees no rows until it has a policy '
                                   '(CREATE POLICY ... ON api_keys TO that_role ...).',
                          HINT = 'Run `apikeyctl migrate --enable-rls`, or SET apikey.enable_rls = ''on'' '
                                 'in the session that applies this migration.';
            END IF;
            ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
            RAISE NOTICE 'api_keys: row-level security enabled; roles of the application other than its '
                         'owner now need policies of their own';
        END IF;
        ALTER TABLE api_keys
            ADD COLUMN IF NOT EXISTS scopes     text[],
            ADD COLUMN IF NOT EXISTS expires_at timestamptz,
            ADD COLUMN IF NOT EXISTS revoked_at timestamptz,
            ADD COLUMN IF NOT EXISTS rotated_to uuid;
        SELECT string_agg(format('%s must be %s', wanted, type), ', ') INTO missing
            FROM (VALUES ('id', 'uuid'), ('is_active', 'boolean'), ('scopes', 'text[]'),
                         ('expires_at', 'timestamp with time zone'),
                         ('revoked_at', 'timestamp with time zone'), ('rotated_to', 'uuid'))
                 AS columns (wanted, type)
            JOIN pg_attribute ON attrelid = existing AND attname = wanted AND NOT attisdropped
            WHERE format_type(atttypid, NULL) <> type;
        IF missing IS NOT NULL THEN
            RAISE EXCEPTION 'api_keys has columns of other types: %', missing;
        END IF;
        RAISE NOTICE 'api_keys: kept, columns scopes, expires_at, revoked_at, rotated_to are there';
    END IF;

    -- A user's own keys are looked up by user_id; an application's own index on it will do.
    IF NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
                   WHERE i.indrelid = 'api_keys'::regclass AND i.indisvalid AND i.indpred IS NULL
                   AND a.attname = 'user_id' AND i.indkey[0] = a.attnum) THEN
        CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);
    END IF;
END
$migration$;

COMMENT ON COLUMN api_keys.scopes IS 'what the key may do; null = everything its user may';
COMMENT ON COLUMN api_keys.expires_at IS 'the key is refused from then on; null = never';
COMMENT ON COLUMN api_keys.revoked_at IS 'when it was revoked; the key is active while is_active and this is null';
COMMENT ON COLUMN api_keys.rotated_to IS 'id of the key that replaces this one';

-- 2. The schema version that apikeyd insists on.
DO $migration$
DECLARE
    supabase  text;
BEGIN
    IF to_regclass('apikey_schema') IS NULL THEN
        CREATE TABLE apikey_schema (
            version    integer PRIMARY KEY,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
        ALTER TABLE apikey_schema ENABLE ROW LEVEL SECURITY;
        REVOKE ALL ON TABLE apikey_schema FROM PUBLIC;
        FOR supabase IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON TABLE apikey_schema FROM %I', supabase);
        END LOOP;
    END IF;
END
$migration$;

-- 3. The roles. apikey_user: one key holder, by the claims of the transaction. apikeyd: the sidecar, which
--    becomes apikey_user for everything it does in a holder's name; NOINHERIT, so that it must say so. It has
--    no password: set one (\password apikeyd), or let pg_hba.conf trust its Unix user (peer).
DO $migration$
DECLARE
    home      name := (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'api_keys'::regclass);
    role_name name;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['apikey_user', 'apikeyd']::name[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOINHERIT %s', role_name,
                               CASE role_name WHEN 'apikeyd' THEN 'LOGIN' ELSE 'NOLOGIN' END);
                RAISE NOTICE 'role %: made', role_name;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;   -- roles belong to the whole cluster: another database was faster
            END;
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = role_name AND (rolsuper OR rolbypassrls)) THEN
            RAISE EXCEPTION 'role % is a superuser or bypasses row-level security', role_name
                USING HINT = format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS; then migrate again.', role_name);
        END IF;
        IF NOT has_schema_privilege(role_name, home, 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', home, role_name);
            IF NOT has_schema_privilege(role_name, home, 'USAGE') THEN
                RAISE EXCEPTION 'role % may not use schema %', role_name, home
                    USING HINT = format('Its owner must run: GRANT USAGE ON SCHEMA %s TO %I;', home, role_name);
            END IF;
        END IF;
    END LOOP;
    IF NOT pg_has_role('apikeyd', 'apikey_user', 'MEMBER') THEN
        GRANT apikey_user TO apikeyd;
    END IF;
END
$migration$;

-- 4. What they may do, column by column: key_hash is never shown to a key holder, and only what the owner of a
--    key decides about can be changed.
GRANT SELECT (id, user_id, name, prefix, created_at, last_used_at, is_active, scopes, expires_at, revoked_at,
              rotated_to),
      INSERT (id, user_id, name, key_hash, prefix, created_at, is_active, scopes, expires_at),
      UPDATE (name, is_active, expires_at, revoked_at, rotated_to)
    ON api_keys TO apikey_user;
GRANT SELECT (id, user_id, name, key_hash, prefix, created_at, last_used_at, is_active, scopes, expires_at,
              revoked_at, rotated_to)
    ON api_keys TO apikeyd;
GRANT SELECT ON apikey_schema TO apikeyd;

DO $migration$
DECLARE
    old record;
BEGIN
    FOR old IN SELECT polname, polrelid::regclass AS of_table FROM pg_policy
               WHERE polrelid IN ('api_keys'::regclass, 'apikey_schema'::regclass)
               AND polname IN ('apikey_user_own', 'apikeyd_reads') LOOP
        EXECUTE format('DROP POLICY %I ON %s', old.polname, old.of_table);
    END LOOP;
END
$migration$;

CREATE POLICY apikey_user_own ON api_keys TO apikey_user
    USING (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))
    WITH CHECK (user_id = (SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'));

CREATE POLICY apikeyd_reads ON api_keys FOR SELECT TO apikeyd USING (true);

CREATE POLICY apikeyd_reads ON apikey_schema FOR SELECT TO apikeyd USING (true);

-- 5. The notices. Channel apikey_changed, payload:
--      notice  := hash SP receipt | "*" SP receipt         (* = any key may have changed)
--      receipt := 1-19 decimal digits; 0 = nobody waits. From the setting apikey.receipt of the transaction.
--    apikeyd reads the row again on every notice, so notices may come twice, or for nothing. A hash that is no
--    64 lower-case hex digits can never be served and is not announced: the application's statement must not
--    fail for what its own column allows.
CREATE OR REPLACE FUNCTION apikey_row_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    receipt text := coalesce(substring(current_setting('apikey.receipt', true) FROM '^[0-9]{1,19}$'), '0');
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.key_hash ~ '^[0-9a-f]{64}$' THEN
        PERFORM pg_notify('apikey_changed', OLD.key_hash || ' ' || receipt);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.key_hash ~ '^[0-9a-f]{64}$' THEN
        PERFORM pg_notify('apikey_changed', NEW.key_hash || ' ' || receipt);   -- the same twice counts once
    END IF;
    RETURN NULL;
END
$function$;

CREATE OR REPLACE FUNCTION apikey_table_emptied() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    PERFORM pg_notify('apikey_changed', '* ' ||
        coalesce(substring(current_setting('apikey.receipt', true) FROM '^[0-9]{1,19}$'), '0'));
    RETURN NULL;
END
$function$;

CREATE OR REPLACE TRIGGER apikey_inserted_or_deleted AFTER INSERT OR DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION apikey_row_changed();

-- Only what decides about access: an UPDATE of last_used_at alone costs the comparison and no notice.
CREATE OR REPLACE TRIGGER apikey_updated AFTER UPDATE ON api_keys
    FOR EACH ROW
    WHEN ((OLD.key_hash, OLD.id, OLD.user_id, OLD.name, OLD.prefix, OLD.scopes, OLD.is_active, OLD.revoked_at,
           OLD.expires_at)
          IS DISTINCT FROM
          (NEW.key_hash, NEW.id, NEW.user_id, NEW.name, NEW.prefix, NEW.scopes, NEW.is_active, NEW.revoked_at,
           NEW.expires_at))
    EXECUTE FUNCTION apikey_row_changed();

CREATE OR REPLACE TRIGGER apikey_emptied AFTER TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION apikey_table_emptied();

-- 6. Done: but not where a client went on after block 1 refused.
INSERT INTO apikey_schema (version)
    SELECT 1 FROM pg_class WHERE oid = 'api_keys'::regclass AND relrowsecurity
    ON CONFLICT DO NOTHING;
