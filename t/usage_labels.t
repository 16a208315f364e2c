#!/usr/bin/python3
# Labels are bounded and clean: by default the location's name, whatever the path; of a value with variables only so many are kept
# apart, and what comes after them is counted as (other); bytes that are no UTF-8 and long texts harm nothing, Postgres included.
# Hazards: X7, D12, D7, V14, P25

from lib.apikeytest import Test, request_bytes, wait_for
from lib.apikeytest import usage

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:%SIZE%;
    api_key_redis %REDIS%;
    api_key_cache valid=1m;
    api_key_usage_interval %INTERVAL%;
    api_key "test";
    server {
        listen 127.0.0.1:%PORT%;
        location /default/            { empty_gif; }
        location ~ ^/users/(?<id>\\d+) { empty_gif; }
        location /named/              { api_key_usage_endpoint chat; empty_gif; }
        location /path/               { api_key_usage_endpoint $uri; empty_gif; }
        location /header/             { api_key_usage_endpoint $http_x_label; api_key_usage_model "m $http_x_model"; empty_gif; }
        location = /metrics           { api_key off; api_key_metrics; }
    }
}
"""
MANY = 4000
MARK = "\N{REPLACEMENT CHARACTER}"
LABELS = [                                 # the bytes of the header, and the label
    (b"plain", "plain"),
    (b"", ""),
    (b"a\xffb", f"a{MARK}b"),
    (b"\xff" * 200, MARK * 42),            # 126 bytes: another one does not fit
    (b"x" * 128, "x" * 128),
    (b"y" * 5000, "y" * 128),
    ("é".encode() * 100, "é" * 64),
    (b"z" * 127 + "é".encode(), "z" * 127),
    (b"z" * 126 + b"\xc3", "z" * 126),
    (b"surrogate \xed\xa0\x80", f"surrogate {MARK * 3}"),
    (b"longer than needed \xc0\xaf", f"longer than needed {MARK * 2}"),
    ("日本 🙂".encode(), "日本 🙂"),
    (b"tab\tback\\slash \\N", "tab\tback\\slash \\N"),
    (b"'; DROP TABLE usage_records; --", "'; DROP TABLE usage_records; --"),
]


def flood(paths):
    """All of them, pipelined by hundreds; how many were answered with 200."""
    good = 0
    for first in range(0, len(paths), 100):
        part = paths[first:first + 100]
        with nginx.connect() as client:
            client.send(b"".join(request_bytes(path=path, key=alice) for path in part))
            good += sum(client.response().status == 200 for _ in part)
    return good


with Test() as t:
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice])

    # A small slot.
    nginx = t.nginx(CONF, redis=redis, size="1m", interval="1s")
    t.is_(flood([f"/default/{n}/%41?q={n}" for n in range(1000)]), 1000, "1,000 paths of a location")
    t.is_(flood([f"/users/{n}/%2e%2e/{n}" for n in range(500)] + [f"//default//{n}" for n in range(500)]), 1000, "and odd ones")
    nginx.get("/named/1", alice)
    t.is_(usage.wait_counted(redis, 2001), 2001, "are all counted")
    t.is_(usage.by(redis, "endpoint"), {"/default/": 1500, r"^/users/(?<id>\d+)": 500, "chat": 1}, "under the names of the locations")

    t.is_(flood([f"/path/{n}" for n in range(MANY)]), MANY, f"{MANY} paths of which each is a label")
    t.is_(usage.wait_counted(redis, 2001 + MANY), 2001 + MANY, "are all counted, too")
    found = usage.by(redis, "endpoint")
    t.is_(found.get("/default/"), 1500, "the others stay as they are")
    named = [label for label in found if label.startswith("/path/")]
    t.ok(8 <= len(named) < MANY // 2, "some by their names", len(named))
    t.ok({found[label] for label in named} == {1}, "each once")
    t.is_(found.get("(other)"), MANY - len(named), "the rest as (other)")
    t.is_(nginx.metrics()["usage_other_labels_total"], MANY - len(named), "which the metrics count")
    t.is_(nginx.metrics()["usage_lost_total"], 0, "and nothing is lost")
    nginx.get("/default/", alice)
    usage.wait_counted(redis, 2002 + MANY)
    t.is_(usage.counted(redis, endpoint="/default/"), 1501, "a label that is there goes on")
    nginx.quit()
    redis("DEL", usage.STREAM)

    # Any bytes that a header may have; NUL never comes so far.
    nginx = t.nginx(CONF, redis=redis, size="32m", interval="100ms")
    for raw, _ in LABELS:
        with nginx.connect() as client:
            client.send(request_bytes(path="/header/", key=alice)[:-2] + b"X-Label: " + raw + b"\r\nX-Model: " + raw + b"\r\n\r\n")
            t.is_(client.response().status, 200, f"label {raw[:30]!r}")
    for path in ("/path/%ff%0a%0d", "/path/%E6%97%A5", "/path/a/..%2fb"):
        t.is_(nginx.get(path, alice).status, 200, path)
    t.is_((nginx.get("/path/%00", alice).status, nginx.get("/path/", alice, headers={"X-Label": "a\0b"}).status), (400, 400), "NUL: 400")
    expected = {label: 1 for _, label in LABELS} | {f"/path/{MARK}\n\r": 1, "/path/日": 1, "/path/b": 1}
    usage.wait_counted(redis, len(LABELS) + 3)
    t.is_(usage.by(redis, "endpoint"), expected, "as they should be")
    models = {row.model for row in usage.rows(redis) if row.model}
    t.is_({model.removeprefix("m ")[:60] for model in models}, {label[:60] for _, label in LABELS}, "models, too")
    t.ok(max(len(model.encode()) for model in models) == 128, "are of 128 bytes at most")

    pg = t.postgres()
    t.apikeyd(pg, redis)
    t.ok(wait_for(lambda: usage.is_empty(redis)), "apikeyd applies it")
    with pg.connect().cursor() as cursor:
        cursor.execute("SELECT endpoint, sum(requests)::int FROM usage_records GROUP BY 1")
        t.is_(dict(cursor.fetchall()), expected, "Postgres has the same")
    t.is_(usage.dead(redis), [], "and refuses nothing")
