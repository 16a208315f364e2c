#!/usr/bin/python3
# Eight exports at once, of as much as people have, as CSV, as JSON, of conversations, to clients that read slowly; then imports: apikeyd
# stays below 64 MiB, and all of them are whole.
# Hazards: X10, X11, X13

import threading
import time

from lib.apikeytest import Test
from lib.apikeytest.unix_http import Sidecar, fill_usage

USERS = ("alice", "bob", "carol", "dave")
ROWS, CONVERSATIONS, MESSAGES = 300_000, 3_000, 20
PATHS = ("/export/usage?format=csv", "/export/usage?format=json", "/export/conversations")
SECONDS = 4                                # that each takes at least


def most_memory():
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return int(file.read().split("VmHWM:")[1].split()[0])


def read_slowly(user, path):
    """Two thirds of it in a while, the rest at once."""
    with sidecar.begin(path, user=user) as c:
        c.socket.settimeout(60)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            c.read_some(16_384)
            time.sleep(0.01)
        answers[user, path] = c.response()


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    for user in USERS:
        fill_usage(pg, ROWS, user)
        pg.sql(f"INSERT INTO conversations (user_id, id, title) SELECT '{user}', n, 'a title' FROM generate_series(1, {CONVERSATIONS}) AS n; "
               f"INSERT INTO messages (user_id, id, conversation_id, position, role, content) SELECT '{user}', n || '-' || m, n, m, 'user', repeat('words ', 60) "
               f"FROM generate_series(1, {CONVERSATIONS}) AS n, generate_series(1, {MESSAGES}) AS m")
    pg.sql("ANALYZE")
    daemon = t.apikeyd(pg, redis, exports__parallel=8)
    sidecar = Sidecar(daemon)
    answers = {}
    asked = [(user, path) for i, user in enumerate(USERS) for path in (PATHS[i % 3], PATHS[(i + 1) % 3])]
    threads = [threading.Thread(target=read_slowly, args=each) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for user, path in asked:
        answer = answers[user, path]
        t.is_((answer.status, answer.whole), (200, True), f"{user}, {path}: whole")
        if path.endswith("csv"):
            t.is_(answer.body.count(b"\n"), ROWS + 1, "with all its rows")
        else:
            count = CONVERSATIONS if "conversations" in path else ROWS
            t.ok(answer.body.rstrip().endswith(b'"recordCount":%d}' % count), "with all its rows", answer.body[-100:])
    t.weigh(most_memory() <= 64 * 1024, "64 MiB at most", f"{most_memory()} KiB")

    # --- and back, for others ---
    imported = {}

    def bring(user, path, body):
        with sidecar.connect(timeout=100) as c:
            c.send(sidecar.request(path, user=user, method="POST", body=body))
            imported[user] = c.response()

    csv = next(answers[each].body for each in asked if each[1].endswith("csv"))
    conversations = next(answers[each].body for each in asked if "conversations" in each[1])
    threads = [threading.Thread(target=bring, args=each) for each in (("erin", "/import/usage?format=csv", csv), ("frank", "/import/conversations?format=json", conversations))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.is_([(imported[user].status, imported[user].json.get("imported")) for user in ("erin", "frank")], [(200, ROWS), (200, CONVERSATIONS)], "two imports at once")
    t.weigh(most_memory() <= 64 * 1024, "64 MiB at most, still", f"{most_memory()} KiB")
    t.note(f"{most_memory()} KiB")
