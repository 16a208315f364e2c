"""Usage under chaos: clients use keys while nginx, Redis, Postgres and apikeyd are killed, restarted and cut off from each other, by
a seed. When all are up again Postgres holds what the clients' ledger says: every complete answer once, what was cut off at most
once, and nothing else."""

import os
import time

from . import chaos_clients, usage
from .chaos_events import WORKERS, Chaos, Parts
from .clock import build_clock_shift
from .places import SANITIZED
from .process import wait_for

UPSTREAM = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    access_log off;
    keepalive_requests 1000000;
    add_header X-Usage-Tokens $arg_tokens always;
    server {
        listen 127.0.0.1:%PORT%;
        location ~ /ok$   { return 200 "it is done\\n"; }
        location ~ /404$  { return 404 "nothing\\n"; }
        location ~ /500$  { return 500 "broken\\n"; }
        # Without a length, and for half a second.
        location ~ /slow$ { ssi on; ssi_types *; limit_rate 20k; root %PAGES%; rewrite ^ /slow.txt break; }
    }
}
"""

CONF = """
%GLOBALS%
env LD_PRELOAD; env CLOCK_SHIFT;
worker_processes 2;
events { worker_connections 512; }
http {
    %HTTP%
    access_log off;
    api_key_zone           keys:32m;
    api_key_redis          %REDIS% timeout=250ms;
    api_key_cache          valid=5s stale=30s;
    api_key_usage_interval 200ms;
    api_key_spool          %SPOOL%;
    keepalive_requests     1000000;
    add_header             X-Worker $pid always;
    upstream api { server %UPSTREAM%; keepalive 16; }
    server {
        listen 127.0.0.1:%PORT%;
        location = /metrics { api_key_metrics; }
        location / {
            api_key              "chaos";
            api_key_usage_tokens $upstream_http_x_usage_tokens;
            proxy_http_version   1.1;
            proxy_set_header     Connection "";
            proxy_pass           http://api;
            location /chat/  { api_key_usage_endpoint chat;              proxy_pass http://api; }
            location /files/ {                                           proxy_pass http://api; }
            location /tools/ { api_key_usage_endpoint "tool $arg_label"; proxy_pass http://api; }
            location /free/  { api_key_usage off;                        proxy_pass http://api; }
        }
    }
}
"""

DRAINED_WITHIN = 20                        # seconds
LATE = 2                                   # seconds that last_used_at may be behind
SUMS = """SELECT user_id, key_id, endpoint, status, sum(requests), sum(tokens_in) FROM usage_records
          GROUP BY user_id, key_id, endpoint, status"""


def run(t, seconds, seed):
    """The whole test. Half of the seeds set clocks as well; then nothing is said of last_used_at."""
    t.note(f"SEED={seed}, {seconds} s")
    with chaos_clients.pool() as processes:
        keys = [t.key(user=f"user-{n // 2}", name=f"key {n}") for n in range(8)]
        parts, spool = start(t, keys)
        clocks = not SANITIZED and sum(str(seed).encode()) % 2 == 0
        chaos = Chaos(parts, seed, build_clock_shift(t.folder) if clocks else None)
        running = chaos_clients.start(processes, parts.nginx.port, keys, seed)
        chaos.run(seconds)
        time.sleep(0.5)                    # a little quiet use
        ledger = chaos_clients.stop(running)
    judge(t, parts, spool, chaos, ledger, seed)


def start(t, keys):
    postgres, redis = t.postgres(), t.redis(options={"appendonly": "yes", "appendfsync": "everysec"})
    values = ", ".join(f"('{k.id}', '{k.user}', '{k.name}', '{k.hash}', '{k.prefix}')" for k in keys)
    postgres.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES {values}")
    proxy = t.redis_proxy(redis, record=False)
    apikeyd, second = t.apikeyd(postgres, proxy), t.apikeyd(postgres, proxy, wait=None)
    spool, pages = t.new_folder("spool"), t.new_folder("pages")
    os.chmod(spool, 0o777)                 # nginx's workers run as another user
    with open(f"{pages}/slow.txt", "w", encoding="ascii") as file:
        file.write("slowly but surely\n" * 600)
    upstream = t.nginx(UPSTREAM, module=False, pages=pages)
    nginx = t.nginx(CONF, detached=True, redis=proxy, spool=spool, upstream=f"127.0.0.1:{upstream.port}")
    nginx.wait_watching(WORKERS)
    for allowed in (r"shared memory zone .* was locked by", r"\[crit\] .*connect\(\) to unix:"):
        t.allow_log(allowed)
    return Parts(nginx, redis, proxy, postgres, apikeyd, second), spool


# --- the verdict ------------------------------------------------------------------------------------------------

def judge(t, parts, spool, chaos, ledger, seed):
    began = time.monotonic()
    drained = wait_for(lambda: not what_is_left(parts, spool) and not compare(parts.postgres, ledger, least=True), DRAINED_WITHIN,
                       0.2)
    took, left = time.monotonic() - began, what_is_left(parts, spool)
    wrong = compare(parts.postgres, ledger, began=chaos.began)
    if chaos.clock_shift is None:
        wrong += compare_last_used(parts.postgres, ledger)
    story = [f"SEED={seed}", *chaos.log, *holes(parts.postgres), *figures(parts.nginx)]
    if left or wrong or not drained:
        os.environ["KEEP"] = "1"           # the folder
    t.must(not wrong, "Postgres holds what the ledger says", *wrong)
    t.ok(drained, f"everything came through within {DRAINED_WITHIN} s", *left)
    if left or wrong or not drained:
        t.diag(*story)
    t.unlike(parts.nginx.log(), r"has no room for the usage|the usage of a request is lost", "nginx had room for all")
    t.is_(usage.dead(parts.redis), [], "nothing was refused for its content")
    t.must(not ledger.tally[chaos_clients.REFUSED], "no good key was refused", ledger.tally)
    complete, cut = ledger.tally[chaos_clients.COMPLETE], ledger.tally[chaos_clients.CUT]
    t.ok(complete > 20 and cut < complete / 2, "most requests were answered", ledger.tally)
    t.note(f"{chaos.counts.total()} events {dict(chaos.counts)}; {dict(ledger.tally)}; drained in {took:.1f} s" +
           ("; clocks were shifted" if chaos.clock_shift else ""))


def what_is_left(parts, spool):
    """Where usage is still on its way."""
    # What a worker was killed over stays there for an hour, as .tmp; its batch is somewhere else.
    left = [f"{name} in the spool" for name in os.listdir(spool) if not name.endswith(".tmp")]
    left += [f"{parts.redis('XLEN', usage.STREAM)} entries in the stream"] if not usage.is_empty(parts.redis) else []
    try:
        pending = parts.nginx.metrics()["usage_batches_pending"]
    except OSError as error:
        return [*left, f"nginx: {error}"]
    return left + ([f"{pending:.0f} batches in nginx"] if pending else [])


def compare(postgres, ledger, least=False, began=0):
    """The differences as text. `least`: only what is missing. `began`: when time was zero."""
    bounds = ledger.bounds()
    rows = {tuple(name): (int(requests), int(tokens)) for *name, requests, tokens in postgres.sql(SUMS)}
    wrong = []
    for name in sorted(set(bounds) | set(rows)):
        allowed, got = bounds.get(name, ((0, 0), (0, 0))), rows.get(name, (0, 0))
        for what, (low, high), value in zip(("requests", "tokens"), allowed, got):
            if value < low or value > high and not least:
                wrong.append(f"{' '.join(name)}: {value} {what}, the ledger says {low}" + (f" to {high}" if high > low else ""))
                if what == "tokens" and value < low:
                    wrong += [f"    is it this? at {when - began:.2f}: {answer}" for its, tokens, when, answer in ledger.answers
                              if its == name and tokens == low - value]
    return wrong


def compare_last_used(postgres, ledger):
    found = dict(postgres.sql("SELECT id, extract(epoch FROM last_used_at) FROM api_keys"))
    return [f"key {key}: last_used_at {found[key]}, last used at {when:.3f}" for key, when in ledger.last_used.items()
            if float(found[key] or 0) < when - LATE]


def holes(postgres):
    """What is applied of which slot: a hole is a batch that never came."""
    return [f"applied of {zone} slot {slot}: {applied}"
            for zone, slot, applied in postgres.sql("SELECT zone, slot, applied FROM usage_sources ORDER BY zone, slot")]


def figures(nginx):
    return [f"{name} {value:.0f}" for name, value in sorted(nginx.metrics().items()) if name.startswith("usage_") and value]
