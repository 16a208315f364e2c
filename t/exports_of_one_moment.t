#!/usr/bin/python3
# Rows are inserted, changed and deleted while exports run, slow ones too: each file is of one moment, and its exportDate is that: after all that
# was committed before, before all that came later, wherever in the export it came.
# Hazards: D11

import csv
import io
import json
import os
import random
import threading
import time
from datetime import datetime

from lib.apikeytest import Test
from lib.apikeytest.apikeyd import apikeyctl
from lib.apikeytest.postgres_proxy import PostgresProxy
from lib.apikeytest.unix_http import Sidecar, fill_usage

ROWS, SECONDS = 60_000, 6
STAMPED = ("/0 first", "/middle", "/~ last")


def seconds(text):
    return datetime.fromisoformat((text[:-1].ljust(26, "0") if "." in text else text[:-1]) + "+00:00").timestamp()


def fill():
    fill_usage(pg, ROWS)
    pg.sql("""INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) VALUES
            ('alice', gen_random_uuid(), '2025-12-31', '/0 first', '', 'success', 0), ('alice', gen_random_uuid(), '2026-01-01 08:00:00Z', '/middle', '', 'success', 0),
            ('alice', gen_random_uuid(), '2026-12-31', '/~ last', '', 'success', 0), ('alice', gen_random_uuid(), '2026-01-01 04:00:00Z', '/moves 0', '', 'success', 1);
        INSERT INTO conversations (user_id, id, title, created_at) SELECT 'alice', n::text, '0', timestamptz '2026-01-01' + n * interval '1 minute' FROM generate_series(1, 1000) n;
        INSERT INTO messages (user_id, id, conversation_id, position, role, content) SELECT 'alice', n || '/' || m, n::text, m, 'user', repeat('x', 200) FROM generate_series(1, 1000) n, generate_series(1, 10) m""")


def change(cursor, number):
    """The state of this number, from the one before, in one transaction."""
    cursor.execute("""BEGIN; UPDATE usage_records SET requests = %(n)s WHERE user_id = 'alice' AND endpoint IN ('/0 first', '/middle', '/~ last');
        DELETE FROM usage_records WHERE user_id = 'alice' AND endpoint = '/moves ' || %(n)s - 1;
        INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) VALUES
            ('alice', gen_random_uuid(), timestamptz '2026-01-01' + %(n)s %% 17 * interval '1 hour', '/moves ' || %(n)s, '', 'success', 1);
        UPDATE conversations SET title = %(n)s::text WHERE user_id = 'alice' AND id IN ('1', '500', '1000');
        UPDATE messages SET content = %(n)s::text WHERE user_id = 'alice' AND id IN ('2/1', '999/10');
        DELETE FROM messages WHERE user_id = 'alice' AND id = '7/' || 20 + %(n)s - 1;
        INSERT INTO messages (user_id, id, conversation_id, position, role, content) VALUES ('alice', '7/' || 20 + %(n)s, '7', 20 + %(n)s, 'user', 'moves')""", {"n": number})
    sent = time.time()
    cursor.execute("COMMIT")
    return sent, time.time()


def state_of(body, what):
    """Which numbers a file has, with how many rows; and its exportDate."""
    if what == "csv":
        rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    else:
        document = json.loads(body)
        rows = document["data"]
        date = seconds(document["exportDate"])
    if what == "conversations":
        by_id = {row["id"]: row for row in rows}
        states = {by_id[name]["title"] for name in ("1", "500", "1000")} | {by_id["2"]["messages"][0]["content"], by_id["999"]["messages"][-1]["content"]}
        states |= {str(int(message["id"][2:]) - 20) for message in by_id["7"]["messages"] if message["content"] == "moves"} or {"0"}
        return {int(state) for state in states}, sum(len(row["messages"]) for row in rows) - len(by_id["7"]["messages"][10:]), date
    states = {int(row["requests"]) for row in rows if row["endpoint"] in STAMPED} | {int(row["endpoint"][7:]) for row in rows if row["endpoint"].startswith("/moves")}
    return states, len(rows), date if what == "json" else None


EXPORTS = {"csv": ("/export/usage?format=csv", ROWS + 4), "json": ("/export/usage", ROWS + 4), "conversations": ("/export/conversations", 10_000)}

with Test() as t:
    seed = os.environ.get("SEED", os.urandom(4).hex())
    t.note(f"SEED={seed}")
    rng = random.Random(seed)
    pg, redis = t.postgres(), t.redis()
    fill()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, exports__parallel=8)
    sidecar, cursor, times = Sidecar(daemon), pg.connect().cursor(), [(0, 0)]

    # --- one after the other, with clients that have read the first bytes and take the rest later ---
    begun = {what: sidecar.begin(path, user="alice") for what, (path, _) in list(EXPORTS.items())[:2]}
    t.ok(all(each.begun() for each in begun.values()), "two exports have begun")
    times += [change(cursor, number) for number in range(1, 6)]
    for what, each in begun.items():
        states, rows, date = state_of(each.response().body, what)
        t.must((states, rows) == ({0}, EXPORTS[what][1]), f"{what}: nothing of what came later", states, rows)
        t.must(date is None or date <= times[1][1], f"{what}: nor its time")

    # --- changes all the time ---
    stop = threading.Event()

    def write():
        own = pg.connect().cursor()
        while not stop.is_set():
            times.append(change(own, len(times)))
            time.sleep(rng.choice((0, 0.002, 0.02)))

    found, wrong = [], []

    def read(what):
        path, count = EXPORTS[what]
        own = random.Random(f"{seed}/{what}")
        while not stop.is_set():
            asked = len(times) - 1
            with sidecar.begin(path) as client:
                client.begun()
                time.sleep(own.choice((0, 0, 0.1)))
                answer = client.response()
            if answer.status == 429:
                continue
            states, rows, date = state_of(answer.body, what)
            found.append((what, max(states), date))
            if len(states) != 1 or rows != count or min(states) < asked:
                wrong.append((what, states, rows, asked))

    threads = [threading.Thread(target=write)] + [threading.Thread(target=read, args=(what,)) for what in EXPORTS]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    times.append((float("inf"), float("inf")))
    t.note(f"{len(times)} states, {len(found)} exports")
    t.must(not wrong, "each file is of one state, and of none that was over when it was asked for", *wrong[:5])
    dated = [(what, date, times[state], times[state + 1]) for what, state, date in found if date is not None]
    late = [each for each in dated if each[1] > each[3][1]]
    early = [each for each in dated if each[1] < each[2][0] - 0.25]          # taken together, but not by one instruction
    t.must(not late, f"exportDate is before what came later ({len(dated)})", *late[:5])
    t.must(not early, "and after what was there", *early[:5])
    t.ok(len({state for _, state, _ in found}) > 5 and {what for what, _, _ in found} == set(EXPORTS), "of all kinds, of many states")

    # --- a change just before each message of an export to Postgres ---
    times.pop()
    proxy = PostgresProxy(t.new_folder("proxy"), pg)
    held = t.apikeyd(f"host={proxy.folder} user=apikeyd dbname={pg.database}", redis, wait=None).config
    for what in ("json", "conversations"):
        number, most, kinds = 0, 1, set()
        while number < most:
            number += 1
            sent = []

            def hold(data):
                sent.append(data)
                if len(sent) == number:                    # pylint: disable=cell-var-from-loop
                    time.sleep(0.02)
                    times.append(change(cursor, len(times)))
                    time.sleep(0.02)
            proxy.hold = hold
            body = apikeyctl("--config", held, "export", "usage" if what == "json" else "conversations", "--user", "alice")
            most = len(sent) - 1                           # the last one says good-bye
            states, _, date = state_of(body, what)
            before, last = times[-2], times[-1]
            state = max(states)
            kinds.add(state == len(times) - 1)
            t.must(len(states) == 1 and (last[0] <= date if state == len(times) - 1 else before[0] <= date <= last[1] and state == len(times) - 2),
                   f"{what}: changed before message {number} of {most}: {'in' if state == len(times) - 1 else 'not in'} the file, as its exportDate says", states, date, before, last, sent[number - 1][:200])
        t.is_(kinds, {True, False}, f"{what}: it has come before its moment, and after it")
