#!/usr/bin/python3
# The disk of the logs is full: nginx answers as before and follows changes, apikeyd goes on applying usage and keys, and when there is
# room both write again.
# Hazards: S17

from lib.apikeytest import Test, skip_all, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
error_log %LOGS%/errors.log notice;
events { }
http {
    %HTTP%
    access_log             %LOGS%/requests.log;
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=200ms;
    api_key_cache          valid=10m;
    api_key_usage_interval 100ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location = /metrics { api_key_metrics; }
    }
}
"""


def size(name):
    with open(f"{disk.folder}/{name}", "rb") as file:
        return file.seek(0, 2)


def is_served(name, count):
    """Requests are answered, counted, and each change of a key is followed."""
    made = daemon.ctl("keys", "create", "--user", name, "--name", "x", json=True)
    key = t.key(user=name, text=made["key"])
    t.is_({nginx.get("/", key).status for _ in range(count)}, {200}, f"{name}: a key that is made works")
    t.is_(nginx.get("/", key).saw("X-User-Id"), [name], f"{name}: as herself")
    t.is_(nginx.get("/", t.key()).status, 401, f"{name}: an unknown one does not")
    daemon.ctl("keys", "revoke", made["id"])
    t.is_(nginx.get("/", key).status, 401, f"{name}: nor does hers when it is revoked")
    t.ok(wait_for(lambda: usage.requests(pg, f"user_id = '{name}'") == count + 1), f"{name}: all was counted", usage.requests(pg))


with Test() as t:
    disk = t.small_disk("1m", "www-data")
    if disk is None:
        skip_all("nothing may be mounted here")
    pg, redis = t.postgres(), t.redis()
    proxy = t.redis_proxy(redis, record=False)
    daemon = t.apikeyd(pg, redis, wait=None)
    daemon.log_path = f"{disk.folder}/apikeyd.log"
    daemon.start()
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream(), logs=disk.folder)
    t.ok(nginx.wait_watching(1), "nginx is there")
    is_served("alice", 5)
    t.ok(all(size(name) for name in ("errors.log", "requests.log", "apikeyd.log")), "all three logs are on this disk")

    t.allow_log(r"write\(\) to .*requests\.log")       # nginx says so itself, once a second
    disk.fill()
    before = {name: size(name) for name in ("errors.log", "requests.log", "apikeyd.log")}
    is_served("bob", 200)                  # more than a page of lines
    proxy.close_all()                      # something for the error log
    t.ok(nginx.wait_watching(1), "connections are made anew")
    pg.restart()
    t.ok(wait_for(lambda: daemon.ctl("keys", "list", status=None)[0] == 0), "Postgres is back")
    is_served("carol", 5)
    t.ok(nginx.reload(), "a reload")
    daemon.kill()
    daemon.start(wait=False)
    is_served("dave", 5)
    t.is_({name: -(-size(name) // 4096) for name in before}, {name: -(-was // 4096) for name, was in before.items()},
          "no page of it could be written")

    disk.free()
    is_served("erin", 5)
    proxy.close_all()
    t.ok(wait_for(lambda: all(size(name) > was for name, was in before.items())), "there is room: all three logs go on",
         before, {name: size(name) for name in before})
    t.ok(daemon.stop(), "apikeyd ends in order")
