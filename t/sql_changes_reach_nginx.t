#!/usr/bin/python3
# Whatever changes a key in Postgres (the application's own SQL, a cascade, TRUNCATE), nginx obeys it at once.
# Hazards: C6, C10

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; return 200; }
        location /who { api_key "test"; add_header X-User $api_key_user; empty_gif; }
    }
}
"""


def insert(pg, *keys):
    for key in keys:
        pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
               f"VALUES ('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    pg.sql("CREATE TABLE accounts (name text PRIMARY KEY); INSERT INTO accounts VALUES ('carol'), ('dave'), ('erin')")
    keys = {user: t.key(user=user) for user in ("carol", "dave", "erin", "frank", "grace")}
    insert(pg, *keys.values())
    t.apikeyd(pg, redis)
    nginx = t.nginx(CONF, redis=redis)

    def status(user):
        return nginx.get("/who", keys[user]).status

    def becomes(user, wanted, name):
        t.ok(wait_for(lambda: status(user) == wanted, 2), name, f"status {status(user)}, wanted {wanted}")

    t.is_([status(user) for user in keys], [200] * 5, "all five are in force from the start")

    pg.sql("UPDATE api_keys SET is_active = false WHERE user_id = 'carol'")
    becomes("carol", 401, "UPDATE is_active")
    pg.sql("UPDATE api_keys SET is_active = true WHERE user_id = 'carol'")
    becomes("carol", 200, "and back")
    pg.sql("UPDATE api_keys SET revoked_at = now() WHERE user_id = 'carol'")
    becomes("carol", 401, "UPDATE revoked_at")
    pg.sql("DELETE FROM api_keys WHERE user_id = 'dave'")
    becomes("dave", 401, "DELETE")

    pg.sql("ALTER TABLE api_keys ADD FOREIGN KEY (user_id) REFERENCES accounts ON DELETE CASCADE NOT VALID")
    pg.sql("DELETE FROM accounts WHERE name = 'erin'")
    becomes("erin", 401, "ON DELETE CASCADE")

    moved = t.key(user="frank")
    pg.sql(f"ALTER TABLE api_keys DROP CONSTRAINT api_keys_user_id_fkey; "
           f"UPDATE api_keys SET key_hash = '{moved.hash}' WHERE user_id = 'frank'")
    becomes("frank", 401, "the old hash of a row whose hash was changed")
    t.ok(wait_for(lambda: nginx.get("/who", moved).status == 200, 2), "and the new one")
    pg.sql("UPDATE api_keys SET user_id = 'henry' WHERE user_id = 'frank'")
    t.ok(wait_for(lambda: nginx.get("/who", moved).header("X-User") == "henry", 2), "a new owner")
    pg.sql("UPDATE api_keys SET expires_at = now() - interval '1 minute' WHERE user_id = 'henry'")
    t.ok(wait_for(lambda: nginx.get("/who", moved).code == "expired_api_key", 2), "an expiry")

    # C10: two transactions write the same row's fate and commit in the other order; the row as committed counts.
    first, second = pg.connect(), pg.connect()
    first.autocommit = second.autocommit = False
    one, two = first.cursor(), second.cursor()
    one.execute("SELECT pg_notify('apikey_changed', %s)", (f"{keys['grace'].hash} 0",))
    two.execute("UPDATE api_keys SET is_active = false WHERE user_id = 'grace'")
    second.commit()
    first.commit()
    becomes("grace", 401, "the row as it was committed, not as it was announced")
    second.close(), first.close()

    pg.sql("TRUNCATE api_keys")
    t.ok(wait_for(lambda: nginx.get("/who", moved).status == 401, 3), "TRUNCATE")
    t.ok(wait_for(lambda: not redis("KEYS", "apikey:k:*"), 3), "nothing of it is left in Redis")
