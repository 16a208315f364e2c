#!/usr/bin/python3
# Thousands of random exports, summaries, dry runs and changes of keys of many users over a few connections to Postgres, with clients that leave, locks, queries that
# are cancelled and backends that are terminated: every byte of every answer is its caller's, and no connection that waits has anybody's name left.
# Hazards: V7, V1, V4

import collections
import json
import os
import random
import threading
import time
import uuid

from lib.apikeytest import Test, wait_for
from lib.apikeytest.postgres_proxy import PostgresProxy
from lib.apikeytest.unix_http import Sidecar, base64url

ROUNDS, THREADS, EACH, ROWS, MANY, CONVERSATIONS = 5, 6, 100, 200, 8_000, 20
USERS = [f"[{name}]" for name in ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")]
LARGE = USERS[:2]              # have more than fits into sockets
LEFT = """SELECT session_user, current_user, current_setting('role'), coalesce(current_setting('request.jwt.claims', true), ''), coalesce(current_setting('apikey.user', true), ''),
    concat(current_setting('apikey.id', true), current_setting('apikey.endpoint', true), current_setting('apikey.model', true), current_setting('apikey.from', true)),
    concat(current_setting('apikey.actor', true), current_setting('apikey.actor_key', true), current_setting('apikey.source', true), current_setting('apikey.address', true),
        nullif(current_setting('apikey.receipt', true), '')), current_setting('TimeZone'), current_setting('transaction_isolation'), current_setting('transaction_read_only'),
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname LIKE 'apikey_import%'), (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')"""
CLEAN = ["apikeyd", "apikeyd", "none", "", "", "", "", "UTC", "read committed", "off", "0", "0"]
AT_WORK = "application_name = 'apikeyd' AND query ~ 'usage_records|conversations|api_keys|audit_log|UNLISTEN|set_config|ISOLATION|import|ROLE|COMMIT|ROLLBACK'"


def fill(user):
    rows = MANY if user in LARGE else ROWS
    pg.sql(f"""INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests)
            SELECT '{user}', gen_random_uuid(), timestamptz '2026-01-01' + n * interval '1 hour', '/of/{user}/' || n % 7, '{user} model', 'success', 1 FROM generate_series(1, {rows}) n;
        INSERT INTO api_keys (user_id, name, key_hash, prefix) VALUES ('{user}', '{user} key', md5('{user}') || md5('x'), 'ia_');
        INSERT INTO api_keys (id, user_id, name, key_hash, prefix) VALUES ('{key_of(user)}', '{user}', '{user} own', md5('{user}') || md5('y'), 'ia_');
        INSERT INTO conversations (user_id, id, title) SELECT '{user}', id, '{user} title' FROM (SELECT 'same ' || n AS id FROM generate_series(2, {CONVERSATIONS}) n UNION ALL SELECT '{user}') i;
        INSERT INTO messages (user_id, id, conversation_id, position, role, content)
            SELECT user_id, id || '/' || n, id, n, 'user', '{user} says ' || n FROM conversations, generate_series(1, 3) n WHERE user_id = '{user}'""")


def key_of(user):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, user))


class Client(threading.Thread):
    """Asks at random, each time as somebody."""

    def __init__(self, number):
        super().__init__(daemon=True)
        self.rng, self.seen, self.wrong, self.not_found, self.no_key = random.Random(f"{seed}/{number}"), collections.Counter(), [], set(), set()

    def run(self):
        for _ in range(EACH):
            user = self.rng.choice(USERS)
            kind, ask = self.rng.choice(((self.export, "export"), (self.export, "export"), (self.summary, "summary"), (self.conversation, "conversation"),
                                         (self.dry_run, "dry run"), (self.manage, "manage"), (self.leave, "leave")))
            try:
                kind(user)
            except (OSError, ValueError, LookupError) as error:
                self.wrong.append((ask, user, repr(error)))

    def judge(self, user, path, answer, allowed, rows=None):
        """Whatever came, and be it the half of it, is this user's. `rows`: how many a whole one has."""
        self.seen[f"{path.partition('?')[0]} {answer.status}{'' if answer.whole else ' cut'}"] += 1
        others = [other for other in USERS if other != user and other.encode() in answer.body]
        if others or answer.status not in allowed | {429, 503} or (rows is not None and answer.status == 200 and answer.whole and answer.body.count(b"\n") != rows):
            self.wrong.append((user, path, others, answer, answer.body.count(b"\n"), rows))
        if answer.status == 404:
            self.not_found.add(answer.body)

    def export(self, user):
        path, rows = self.rng.choice((("/export/usage?format=csv", (MANY if user in LARGE else ROWS) + 1), ("/export/usage?endDate=2026-01-05", 119 + 2),
                                      ("/export/usage?format=csv&endpoint=/of/" + self.rng.choice(USERS) + "/3", None), ("/export/usage?model=" + user.replace("[", "%5B") + "%20model&endDate=2026-01-02", 47 + 2),
                                      ("/export/conversations", CONVERSATIONS * 4 + 2)))
        self.judge(user, path, sidecar.get(path, user=user), {200}, rows)

    def summary(self, user):
        zone = self.rng.choice(("UTC", "Europe/Paris", "Pacific/Apia", "Europe/Atlantis"))
        path = f"/export/usage/summary?groupBy={self.rng.choice(('day', 'month', 'endpoint', 'model', 'key'))}&timeZone={zone}"
        answer = sidecar.get(path, user=user)
        self.judge(user, path, answer, {400} if zone == "Europe/Atlantis" else {200})
        if answer.status == 200 and answer.json["total"]["requests"] != (MANY if user in LARGE else ROWS):
            self.wrong.append((user, path, answer))

    def conversation(self, user):
        which = self.rng.choice((user, "same 3", "unknown", next(other for other in self.rng.sample(USERS, 2) if other != user)))
        answer = sidecar.get("/export/conversations?conversationId=" + which.replace(" ", "%20"), user=user)
        self.judge(user, "/export/conversations?one", answer, {200} if which in (user, "same 3") else {404}, 6)

    def manage(self, user):
        other = next(other for other in self.rng.sample(USERS, 2) if other != user)
        path, method, body, allowed = self.rng.choice((
            ("/keys?limit=1000", "GET", None, {200}), ("/keys/audit?limit=1000", "GET", None, {200}), ("/keys/me", "GET", None, {200}), ("/keys", "POST", {"name": f"{user} made"}, {201, 202}),
            (f"/keys/one?id={key_of(user)}", "PATCH", {"name": f"{user} {self.rng.random()}"}, {200, 202}), (f"/keys/one?id={key_of(other)}", "PATCH", {"name": user}, {404}),
            (f"/keys/one?id={key_of(other)}", "DELETE", None, {404}), (f"/keys/rotate?id={key_of(other)}", "POST", None, {404})))
        headers = [("Apikey-Idempotency-Key", base64url(f"{user} {self.rng.randrange(5)}"))] if path == "/keys" and method == "POST" else []
        answer = sidecar.get(path, user=user, method=method, body=json.dumps(body).encode() if body else b"", headers=headers)
        not_found, self.not_found = self.not_found, set()
        self.judge(user, path.partition("=")[0], answer, allowed)
        self.no_key, self.not_found = self.no_key | self.not_found, not_found

    def dry_run(self, user):
        if self.rng.random() < 0.5:
            body, path = f"date,endpoint,requests,tokens,cost,model,status\n2026-01-01,/of/{user}/new,1,1,{self.rng.choice(('1', 'x'))},,error\n".encode(), "/import/usage?format=csv&dryRun=true"
        else:
            message = {"id": self.rng.choice(("same 3/1", f"{self.rng.choice(USERS)}/1", "new")), "role": "user", "content": user, "createdAt": "2026-01-01"}
            data = [{"id": self.rng.choice(("same 3", *USERS, "new")), "title": user, "createdAt": "2026-01-01", "updatedAt": "2026-01-01", "messages": [message]}]
            body, path = json.dumps({"data": data}).encode(), "/import/conversations?format=json&dryRun=true"
        answer = sidecar.post(path, body, user=user)
        self.seen[f"{path} {answer.status}"] += 1
        taken = path.startswith("/import/conv") and answer.status in (200, 422)
        is_mine, known = (data[0]["id"] in (user, "same 3"), message["id"] in (f"{user}/1", "same 3/1")) if taken else (False, False)
        if answer.status not in {200, 422, 429, 503} or (taken and (answer.status, answer.json["skipped"]) != ((200, 1) if is_mine else (422, 0) if known else (200, 0))):
            self.wrong.append((user, path, body, answer))

    def leave(self, user):
        self.seen["leave"] += 1
        path = self.rng.choice(("/export/usage?format=csv", "/export/usage", "/export/usage/summary", "/export/conversations"))
        if self.rng.random() < 0.3:
            path, how = "/import/usage?format=csv", {"method": "POST", "headers": [("Transfer-Encoding", "chunked")]}
        else:
            how = {}
        with sidecar.begin(path, user=user if "import" in path else self.rng.choice(LARGE), **how) as connection:
            if not how and self.rng.random() < 0.6:
                connection.begun()
            time.sleep(self.rng.choice((0, 0, 0.002, 0.02)))


def weather(rng, stop, wrong):
    """Until `stop`; what it sees on a connection that waits goes into `wrong` unless it is clean."""
    connection = pg.connect()
    cursor = connection.cursor()
    while not stop.wait(rng.uniform(0, 0.03)):
        event = rng.randrange(8)
        if event < 4:
            cursor.execute(f"SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {AT_WORK}" + (" AND state <> 'idle'" if event else ""))
            if pids := cursor.fetchall():
                cursor.execute(f"SELECT {'pg_cancel_backend' if event in (1, 2) else 'pg_terminate_backend'}(%s)", rng.choice(pids))
                happened["cancelled" if event in (1, 2) else "terminated"] += 1
        elif event == 4:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE {rng.choice(('usage_records', 'conversations', 'messages', 'api_keys'))} IN ACCESS EXCLUSIVE MODE")
            time.sleep(2.3 if rng.random() < 0.03 else 0.01)
            cursor.execute("COMMIT")
            happened["locked"] += 1
        else:
            look(wrong)


def look(wrong):
    rows = proxy.ask_idle(LEFT)
    happened["looked at"] += len(rows)
    wrong += [row for row in rows if row != CLEAN]


with Test(limit=240) as t:
    seed = os.environ.get("SEED", os.urandom(4).hex())
    t.note(f"SEED={seed}")
    pg, redis, happened = t.postgres(), t.redis(), collections.Counter()
    pg.sql("ALTER SYSTEM SET TimeZone = 'UTC'")          # of connections that are just being opened
    for each in USERS:
        fill(each)
    pg.sql("ANALYZE; SELECT pg_reload_conf()")
    proxy = PostgresProxy(t.new_folder("proxy"), pg)
    daemon = t.apikeyd(f"host={proxy.folder} user=apikeyd dbname={pg.database}", redis, exports__parallel=6, log__level="error")
    sidecar = Sidecar(daemon)
    seen, wrong, left, not_found, no_key, began = collections.Counter(), [], [], set(), set(), time.monotonic()
    for number in range(ROUNDS):
        ended = threading.Event()
        clouds = threading.Thread(target=weather, args=(random.Random(f"{seed}/weather {number}"), ended, left), daemon=True)
        clients = [Client(number * THREADS + n) for n in range(THREADS)]
        for thread in [*clients, clouds]:
            thread.start()
        for client in clients:
            client.join()
            seen, wrong, not_found, no_key = seen + client.seen, wrong + client.wrong, not_found | client.not_found, no_key | client.no_key
        ended.set()
        clouds.join()
        look(left)
    t.note(f"{time.monotonic() - began:.1f} s", *(f"{count} {what}" for what, count in sorted((seen + happened).items())))
    t.must(not wrong, f"{sum(seen.values())} requests: each was answered with what is its caller's", len(wrong), *wrong[:5])
    t.must(not left, f"{happened['looked at']} looks at connections that wait: nobody's name, nothing of theirs", len(left), *left[:5])
    rename = lambda: sidecar.get(f"/keys/one?id={key_of(USERS[0])}", user=USERS[0], method="PATCH", body=json.dumps({"name": f"{USERS[0]} last"}).encode())
    t.ok(wait_for(lambda: rename().status == 200, 20), "a change is confirmed")      # the last thing that its connection did
    t.is_({row[0] for row in proxy.ask_idle("SELECT count(*) FROM pg_listening_channels() WHERE pg_listening_channels = 'apikey_done'")}, {"0"}, "none listens for what nobody waits for")
    t.is_((len(not_found), len(no_key)), (1, 1), "every 404 of a conversation is the same, and every one of a key", *not_found, *no_key)
    foreign = [name for user in USERS for name in pg.sql(f"SELECT name FROM api_keys WHERE user_id = '{user}' AND name NOT LIKE '{user} %'")]
    t.must(not foreign, "nobody has changed another's key", *foreign)
    served = sum(count for what, count in seen.items() if what.endswith(" 200"))
    t.ok(served > sum(seen.values()) / 4 and happened["looked at"] > 20, "most were served, and connections were looked at", served)
    for what in ("cancelled", "terminated", "locked"):
        t.ok(happened[what] > 0, f"{happened[what]} times something was {what}")
    t.is_([sidecar.get("/export/usage?endDate=2026-01-05", user=user).body.count(user.encode()) for user in USERS], [2 * 119] * len(USERS), "and all are served afterwards")
