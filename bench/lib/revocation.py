"""How long a revoked key is still accepted: keys are revoked in Postgres by plain SQL, under load, and every worker is
asked all the time."""

import contextlib
import io
import itertools
import math
import select
import time

import psycopg2
from psycopg2.extensions import POLL_OK

from .load import Background
from .probes import ask_until, probe_each_worker
from .rounds import progress
from .stage import USED, Stage, known_keys
from .table import at_most, Line

WORKERS = 4
LOADS = [("4,000 requests/s", 80, 20), ("all that fits", 100, 0)]    # name, connections, pause between requests in ms
AFTERWARDS = 0.03     # seconds that every worker must have refused for before a key counts as refused for good

CONF = """
%GLOBALS%
worker_processes %WORKERS%;
events { worker_connections 2048; }
http {
    %HTTP%
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout  1h;
    api_key_zone  keys:64m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        add_header X-Worker $pid always;
        location / {
            api_key "bench";
            empty_gif;
        }
    }
}
"""


class Revoker:
    """Revokes over a connection that never blocks, so that the probes go on meanwhile."""

    def __init__(self, postgres):
        self.connection = psycopg2.connect(postgres.dsn, async_=True)
        self._wait()
        self.cursor = self.connection.cursor()

    def ready(self):
        """Goes on with what is under way; True when it is over."""
        return self.connection.poll() == POLL_OK

    def _wait(self):
        while not self.ready():
            select.select([self.connection], [], [], 0.1)

    def prepare(self, key):
        """Revokes it but for the COMMIT; the transaction's id."""
        self.cursor.execute("BEGIN; UPDATE api_keys SET is_active = false WHERE key_hash = %s; "
                            "SELECT pg_current_xact_id()::text", (key.hash,))
        self._wait()
        return self.cursor.fetchone()[0]

    def commit(self):
        self.cursor.execute("COMMIT")

    def commit_times(self, transactions):
        """When each was committed, in seconds since 1970."""
        self.cursor.execute("SELECT extract(epoch FROM pg_xact_commit_timestamp(id::xid))::float8 "
                            "FROM unnest(%s) WITH ORDINALITY AS t (id, place) ORDER BY place", (transactions,))
        self._wait()
        return [time_of for time_of, in self.cursor.fetchall()]


def revoke_one(probes, revoker, key):
    """Revokes a key; (the transaction's id, when a worker last accepted the key)."""
    for probe in probes:
        probe.begin(key)
    ask_until(probes, lambda: all(probe.last_accepted for probe in probes))
    transaction = revoker.prepare(key)
    revoker.commit()

    def over():
        enough = time.time() - AFTERWARDS
        return revoker.ready() and all(probe.refused_since and probe.refused_since < enough for probe in probes)

    ask_until(probes, over, also=[revoker.connection])
    for probe in probes:
        probe.finish()
    return transaction, max(probe.last_accepted for probe in probes)


def revoke_all(nginx, postgres, keys):
    """Revokes them one after the other; the milliseconds from each commit to the last acceptance, sorted."""
    probes, revoker = probe_each_worker(nginx.port, WORKERS, keys[0]), Revoker(postgres)
    ends = []
    for key in keys:
        ends.append(revoke_one(probes, revoker, key))
        if len(ends) % 100 == 0:
            progress(f"{len(ends)} revocations")
    commits = revoker.commit_times([transaction for transaction, _ in ends])
    return sorted(max(0.0, (end - commit) * 1e3) for (_, end), commit in zip(ends, commits))


def revocation(options):
    """Groups as the rows of rows.py."""
    keys, lines, notes = known_keys(), [], []
    revoked = iter(keys[USED:])
    with Stage() as stage:
        stage.use_all_cpus()
        postgres, redis = stage.postgres(track_commit_timestamp="on"), stage.redis()
        insert(postgres, keys)
        stage.apikeyd(postgres, redis)
        nginx = stage.nginx(CONF, redis=redis, workers=WORKERS)
        keys_file = stage.file_of_keys(keys[:USED])
        for name, connections, pause in LOADS:
            with Background(nginx.port, keys_file, connections, pause) as load:
                times = revoke_all(nginx, postgres, list(itertools.islice(revoked, options.revocations)))
            lines += [
                Line(f"{name}: p50, ms", {"ours": percentile(times, 50)}),
                at_most(f"{name}: p99, ms", {"ours": percentile(times, 99)}, 10),
                at_most(f"{name}: max, ms", {"ours": times[-1]}, 100)]
            notes.append(f"{name}: {len(times)} keys, one after the other, {WORKERS} workers, {load.rate:,.0f} requests/s "
                         "beside the probes")
    return [("revocation: from the commit to the last acceptance by any worker", lines, notes)]


def insert(postgres, keys):
    rows = "".join(f"{key.id}\t{key.user}\t{key.name}\t{key.hash}\t{key.prefix}\n" for key in keys)
    with contextlib.closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.copy_expert("COPY api_keys (id, user_id, name, key_hash, prefix) FROM STDIN", io.StringIO(rows))


def percentile(ordered, percent):
    """The smallest value that so many percent of all are not above (nearest rank)."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
