"""Exports of usage by apikeyctl, beside psql's \\copy of what Postgres sends for them."""

import contextlib
import os
import statistics
import subprocess
import time

from apikeytest import places
from apikeytest.apikeyd import Apikeyd
from apikeytest.postgres import bin_dir
from apikeytest.process import need

from .rounds import progress
from .stage import Stage
from .table import at_least, Line
from .usage import SETTINGS

ROWS, BUCKETS = 5_000_000, 5_000
ROOM = {"shared_buffers": "1GB", "max_wal_size": "8GB"}   # for the table and its index
USER = "alice"

# A user's, as the flusher leaves it: by time. Every row is a row of the export, too.
INSERT = f"""INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in, tokens_out, cost)
    SELECT '{USER}', ('00000000-0000-4000-8000-' || lpad(to_hex(n % 4), 12, '0'))::uuid, '2026-01-01'::timestamptz + b * interval '1 minute',
           '/v1/endpoint-' || n % 20, 'model-' || n / 20, CASE WHEN n % 10 = 3 THEN 'error' ELSE 'success' END,
           1 + n % 7, 812 + n, 96 + n % 100, n * 0.000123
    FROM generate_series(0, {BUCKETS - 1}) b, generate_series(0, {ROWS // BUCKETS - 1}) n"""

# psql's session has the settings of ours: else it would sort everything first, or start workers.
LIKE_OURS = "SET jit = off; SET max_parallel_workers_per_gather = 0; SET enable_sort = off; SET enable_hashagg = off; " \
            "SET enable_seqscan = off; SET enable_bitmapscan = off; SET TimeZone = 'UTC'; "
SENT = f"""SELECT bucket AS date, endpoint, model, status, requests, tokens_in, tokens_out, cost FROM usage_records WHERE user_id = '{USER}'
    ORDER BY bucket, endpoint, model, status"""
# What somebody writes who has psql alone, and wants the same file.
SUMMED = f"""SELECT to_char(bucket, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS date, endpoint, sum(requests) AS requests,
    sum(tokens_in) + sum(tokens_out) AS tokens, trim_scale(sum(cost)) AS cost, model, status FROM usage_records WHERE user_id = '{USER}'
    GROUP BY bucket, endpoint, model, status ORDER BY bucket, endpoint, model, status"""


def exports(options):
    """Groups as the rows of rows.py."""
    with Stage() as stage:
        stage.use_all_cpus()
        postgres = stage.postgres(**SETTINGS | ROOM)
        with contextlib.closing(postgres.connect()) as connection:
            for statement in (INSERT, "VACUUM ANALYZE usage_records", "CHECKPOINT"):
                connection.cursor().execute(statement)
        dsn = postgres.dsn.replace("user=postgres", "user=apikeyd")
        config = Apikeyd(stage.new_folder("apikeyctl"), dsn, "unix:/nowhere", wait=None).config
        return [measured(options, postgres, config, "export, CSV", "csv", 0.95),
                measured(options, postgres, config, "export, JSON", "json", 2)]


def measured(options, postgres, config, title, form, goal):
    contestants = {"ours": by_apikeyctl(config, form), "as sent": by_psql(postgres, form, SENT),
                   "with the sums": by_psql(postgres, form, SUMMED)}
    rates = {name: [] for name in contestants}
    memory = 0
    for _ in range(options.rounds):
        for name, argv in contestants.items():
            seconds, peak = run(argv)
            rates[name].append(ROWS / seconds)
            memory = max(memory, peak) if name == "ours" else memory
            progress(f"{form:5} {name:16} {rates[name][-1]:10,.0f} rows/s")
    against = lambda name: statistics.median(mine / bare for mine, bare in zip(rates["ours"], rates[name]))   # noqa: E731
    as_json = "row_to_json of " if form == "json" else ""
    same, summed = f"rows/s, \\copy of {as_json}what ours reads = 1", f"rows/s, \\copy of {as_json}the same rows = 1"
    lines = [Line(same, {"ours": against("as sent")}), at_least(summed, {"ours": against("with the sums")}, goal)] if form == "json" else \
        [at_least(same, {"ours": against("as sent")}, goal), Line(summed, {"ours": against("with the sums")})]
    return (f"{title}, {ROWS:,} rows", [
        *lines,
        Line("rows/s", {"ours": statistics.median(rates["ours"]), "bare": statistics.median(rates["as sent"])}, digits=0),
        Line("apikeyctl's memory at most, MiB", {"ours": memory / 1024}, digits=1)], [])


def by_apikeyctl(config, form):
    return [need(str(places.BUILD / "apikeyctl"), "apikeyctl", places.MAKE_HINT), "--config", config, "export", "usage", "--user", USER,
            "--format", form]


def by_psql(postgres, form, select):
    copied = f"COPY ({select}) TO STDOUT (FORMAT csv, HEADER)" if form == "csv" else \
        f"COPY (SELECT row_to_json(line) FROM ({select}) AS line) TO STDOUT"
    return [f"{bin_dir()}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", postgres.dsn, "-c", LIKE_OURS, "-c", copied]


def run(argv):
    """Seconds, and KiB of memory at most."""
    began = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}:\n{said.decode()}")
    return time.monotonic() - began, usage.ru_maxrss
