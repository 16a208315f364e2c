#!/usr/bin/python3
# Eight exports at once, of as much as people have, as CSV, as JSON, of conversations, to clients that read slowly; then imports: apikeyd
# stays below 64 MiB, and all of them are whole.
# Hazards: X10, X11, X13

import json
import threading
import time

from lib.apikeytest import Test, memory_of
from lib.apikeytest.unix_http import Sidecar, fill_usage

USERS = ("alice", "bob", "carol", "dave")
ROWS, CONVERSATIONS, MESSAGES = 300_000, 3_000, 10
LAST = b"2026-01-04T11:20:00Z,"                # 300,000 seconds later
PATHS = ("/export/usage?format=csv", "/export/usage?format=json", "/export/conversations")
SECONDS = 4                                # that each takes at least


def most_memory():
    return memory_of(daemon.process.pid)


def read_slowly(user, path):
    """Slowly for a while, then as fast as it comes; its last bytes are kept, the others would be much."""
    with sidecar.begin(path, user=user) as c:
        slow, last = time.monotonic() + SECONDS, b""
        while data := c.socket.recv(16_384 if time.monotonic() < slow else 262_144):
            last = (last + data)[-90:]
            if last.endswith(b"\r\n0\r\n\r\n"):
                break
            if time.monotonic() < slow:
                time.sleep(0.01)
        ends[user, path] = last


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
    ends = {}
    asked = [(user, path) for i, user in enumerate(USERS) for path in (PATHS[i % 3], PATHS[(i + 1) % 3])]
    threads = [threading.Thread(target=read_slowly, args=each) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for user, path in asked:
        wanted = LAST if path.endswith("csv") else b'"recordCount":%d}' % (CONVERSATIONS if "conversations" in path else ROWS)
        t.ok(wanted in ends[user, path] and ends[user, path].endswith(b"\r\n0\r\n\r\n"), f"{user}, {path}: whole", ends[user, path])
    t.weigh(most_memory() <= 64 * 1024, "64 MiB at most", f"{most_memory()} KiB")

    # --- and back, for others ---
    imported = {}

    def bring(user, path, body):
        with sidecar.connect(timeout=100) as c:
            c.send(sidecar.request(path, user=user, method="POST", body=body))
            imported[user] = c.response()

    csv = b"date,endpoint,requests,tokens,cost,model,status\n" + b"".join(b"2026-01-01,/%d,1,2,0.5,gpt,success\n" % n for n in range(ROWS))
    message = {"role": "user", "content": "words " * 60, "createdAt": "2026-01-01"}
    conversations = json.dumps({"data": [{"id": str(n), "title": "", "createdAt": "2026-01-01", "updatedAt": "2026-01-01", "messages": [message] * MESSAGES}
                                         for n in range(CONVERSATIONS)]}).encode()
    threads = [threading.Thread(target=bring, args=each) for each in (("erin", "/import/usage?format=csv", csv), ("frank", "/import/conversations?format=json", conversations))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.is_([(imported[user].status, imported[user].json.get("imported")) for user in ("erin", "frank")], [(200, ROWS), (200, CONVERSATIONS)], "two imports at once")
    t.weigh(most_memory() <= 64 * 1024, "64 MiB at most, still", f"{most_memory()} KiB")
    t.note(f"{most_memory()} KiB")
    pg.sql("TRUNCATE usage_records, messages, conversations")      # nobody needs to look through all that for keys
