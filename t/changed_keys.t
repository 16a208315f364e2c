#!/usr/bin/python3
# A key gets other scopes, another owner, another end, by plain SQL: when the change is reported as in force, every worker goes by
# it, though it had the key in its cache. All keys of a user are revoked in one statement: none is served any more.
# Hazards: C2, C15, C16

from lib.apikeytest import Test
from lib.apikeytest.receipts import ReceiptClient

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_cache valid=1h invalid=1h;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location /admin { api_key "test"; api_key_require admin; empty_gif; }
        location = /metrics { api_key_metrics; }
        location = /pid { return 200 $pid; }
    }
}
"""
KEYS = 200

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    t.apikeyd(pg, redis)
    nginx = t.nginx(CONF, redis=redis, upstream=t.upstream())
    workers = list(nginx.connect_each(2).values())
    nginx.wait_watching(2)
    application = ReceiptClient(pg)

    def change(sql):
        t.is_(application.change(sql)[1], "2/2", f"{sql.partition(' WHERE')[0]}: in force")

    keys = [t.key(user="alice") for _ in range(KEYS)]
    application.change("INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES " + ",".join(
        f"('{key.id}', 'alice', 'k', '{key.hash}', '{key.prefix}')" for key in keys))
    key = keys[0]

    def admin():
        return [worker.request(path="/admin", key=key).status for worker in workers]

    def owner():
        return [worker.request(key=key).saw("X-User-Id") for worker in workers]

    t.is_((admin(), owner()), ([200, 200], [["alice"], ["alice"]]), "cached by both workers")
    change(f"UPDATE api_keys SET scopes = '{{chat}}' WHERE id = '{key.id}'")
    t.is_(admin(), [403, 403], "it lacks the scope")
    change(f"UPDATE api_keys SET scopes = '{{chat,admin}}' WHERE id = '{key.id}'")
    t.is_(admin(), [200, 200], "it has it again")
    change(f"UPDATE api_keys SET user_id = 'bob' WHERE id = '{key.id}'")
    t.is_(owner(), [["bob"], ["bob"]], "it is another's")
    change(f"UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = '{key.id}'")
    t.is_(admin(), [401, 401], "its time is over")
    change(f"UPDATE api_keys SET expires_at = NULL WHERE id = '{key.id}'")
    t.is_(admin(), [200, 200], "it has no end any more")

    t.is_({worker.request(key=other).status for other in keys for worker in workers}, {200}, f"{KEYS} keys, cached by both")
    change("UPDATE api_keys SET is_active = false WHERE user_id = 'alice'")
    t.is_([worker.request(key=other).status for other in keys[1:] for worker in workers].count(401), 2 * (KEYS - 1),
          "all of alice's are refused")
    t.is_(owner(), [["bob"], ["bob"]], "bob's is not")
