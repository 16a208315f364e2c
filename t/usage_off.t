#!/usr/bin/python3
# api_key_usage off: no rows, and last_used_at moves all the same; it is inherited, and what counts is the rule of the location in
# which the key was judged last.

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:32m;
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    api_key "test";
    api_key_usage off;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location /off      { api_key_usage_model m; api_key_usage_tokens 5; api_key_usage_response openai; empty_gif; }
        location /on       { api_key_usage on; empty_gif; }
        location /to_on    { error_page 404 /on; }
        location /to_off   { api_key_usage on; error_page 404 /off; }
        location /to_free  { error_page 404 /free; }
        location /free     { api_key off; api_key_usage on; empty_gif; }
        location /403      { api_key_require admin; empty_gif; }
        location = /metrics { api_key off; api_key_metrics; }
    }
}
"""

with Test() as t:
    keys = {name: t.key(user=name, scopes="chat") for name in ("off", "on", "to_on", "to_off", "to_free", "403", "both")}
    pg = t.postgres()
    redis = t.redis(keys=keys.values())
    nginx = t.nginx(CONF, redis=redis)
    for name, status in {"off": 200, "to_on": 404, "to_off": 404, "to_free": 404, "403": 403, "on": 200}.items():
        t.is_(nginx.get(f"/{name}", keys[name]).status, status, f"/{name}")
    for path in ("/off", "/on", "/off"):
        nginx.get(path, keys["both"])
    usage.wait_counted(redis, 3)
    t.is_(usage.by(redis, "user", "endpoint", "status"),
          {("to_on", "/on", "error"): 1, ("on", "/on", "success"): 1, ("both", "/on", "success"): 1}, "rows where it is on")
    t.is_(set(usage.last_used(redis)), {key.id for key in keys.values()}, "every key was used")
    t.is_(nginx.metrics()["usage_requests_total"], 9, "and all are recorded")
    t.is_({name: nginx.metrics()[f'usage_responses_total{{result="{name}"}}'] for name in ("found", "other_type")},
          {"found": 0, "other_type": 0}, "no response was looked at")

    # And in Postgres, where nothing but last_used_at changes.
    made = usage.make_key(pg, "alice")
    alice = t.key(user="alice", id=made)
    apikeyd = t.apikeyd(pg, redis)
    redis.add(alice)
    t.ok(wait_for(lambda: nginx.get("/off", alice).status == 200), "a key of Postgres")
    last = wait_for(lambda: pg.value(f"SELECT last_used_at FROM api_keys WHERE id = '{made}'"))
    age = float(pg.value(f"SELECT extract(epoch FROM now() - last_used_at) FROM api_keys WHERE id = '{made}'") or 1e9)
    t.ok(-1 < age < 20, "its last_used_at is now", last, age)
    t.is_(usage.requests(pg, "user_id = 'alice'"), 0, "and it has no rows")
