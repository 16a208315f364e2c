#!/usr/bin/python3
# A conversation of somebody else's and one that does not exist take the same work in Postgres: the same plan, the same rows and the same pages.
# Hazards: V1

import re
import subprocess
import urllib.parse

from lib.apikeytest import Test, places
from lib.apikeytest.statements import log_statements, statements

OWN = 50

with Test() as t:
    pg = t.postgres()
    # Names in this order in the index: what is another's is amid one's own, and so is what nobody has.
    pg.sql(f"""INSERT INTO conversations (user_id, id) SELECT user_id, user_id || ' ' || n FROM unnest(ARRAY['alice', 'bob']) user_id, generate_series(1, {OWN}) n;
        INSERT INTO messages (user_id, id, conversation_id, position, role, content) SELECT user_id, id || '/' || n, id, n, 'user', repeat('x', 1000) FROM conversations, generate_series(1, 5) n""")
    pg.sql("VACUUM ANALYZE conversations, messages")
    log_statements(pg)
    dsn = pg.dsn.replace("user=postgres", "user=apikeyd")

    def work_for(conversation):
        """The plan of what reads it, as it was run, without what depends on the moment; and the answer of the whole."""
        with open(pg.log_path, encoding="utf-8") as log:
            log.seek(0, 2)
            done = subprocess.run([str(places.BUILD / "export_probe"), dsn, "alice", "conversations", f"conversationId={urllib.parse.quote(conversation)}"],
                                  capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
            sent = statements(log.read())
        begin = next(n for n, said in enumerate(sent) if said.startswith("BEGIN"))
        reads = next(n for n, said in enumerate(sent) if said.startswith("COPY"))
        cursor = pg.connect(dsn).cursor()
        for said in sent[begin:reads]:
            cursor.execute(said)
        query = re.fullmatch(r"COPY \((.*)\) TO STDOUT", sent[reads], re.S)[1]
        for _ in "12":                     # the first one fills the catalogue's caches
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) {query}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        shapes = [re.sub(r"'(?:[^']|'')*'", "?", said) for said in sent]
        return (done.returncode, done.stdout, done.stderr.replace(conversation, "ID")), plan.replace(conversation, "ID"), shapes

    others = [work_for(f"bob {n}") for n in (1, 25, OWN)]
    none = [work_for(name) for name in ("bob 0", "bob 25x", "alice 0", "alice 25x", "nothing", "' OR 1=1 --", "\u202e")]
    t.like(none[0][1], "Index Scan.*conversations", "it is an index that says so")
    t.is_({seen[0] for seen in others}, {seen[0] for seen in none}, "the answers are one")
    t.is_({seen[1] for seen in others}, {seen[1] for seen in none}, "the plan, its rows and its pages, too")
    t.is_(len({seen[1] for seen in none}), 1, "whatever is asked for", *(seen[1] for seen in none))
    t.ok(all(seen[2] == none[0][2] for seen in others + none), "and so are the statements around it")
    t.ok("(actual rows=0 loops=1)" in none[0][1] and "(never executed)" in none[0][1], "no row of anybody's is read, no message looked for", none[0][1])
    t.isnt(work_for("alice 25")[1], none[0][1], "one's own takes more")
