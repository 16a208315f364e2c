#!/usr/bin/python3
# What is imported twice, at once too, is there once; and what nginx has counted already is not imported beside it.
# Hazards: D15, D16

import concurrent.futures
import json

from lib.apikeytest import Test
from lib.apikeytest.apikeyd import apikeyctl

HEADER = "date,endpoint,requests,tokens,cost,model,status\n"
KEY = "00000000-0000-4000-8000-00000000000a"

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None)

    def run(what, user, name, text, *options):
        path = f"{t.folder}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        out = apikeyctl("--config", daemon.config, "import", what, "--user", user, path, "--json", *options)
        answer = json.loads(out)
        return answer["imported"], answer["skipped"]

    def state():
        return pg.sql("SELECT * FROM usage_records ORDER BY user_id, bucket, key_id, endpoint, model, status, source")

    # --- beside what nginx counted ---
    pg.sql("INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, cost) VALUES "
           f"('alice', '{KEY}', '2026-11-28T02:05:00Z', '/chat', 'gpt', 'success', 5, 0.5), "
           f"('bob', '{KEY}', '2026-11-28T02:06:00Z', '/chat', 'gpt', 'success', 5, 0.5)")
    rows = [f"2026-11-28T02:0{minute}:00Z,{endpoint},1,2,0.25,{model},{status}" for minute in (5, 6) for endpoint in ("/chat", "/emb")
            for model in ("gpt", "") for status in ("success", "error")]
    text = HEADER + "\n".join(rows) + "\n"
    t.is_(run("usage", "alice", "a.csv", text), (15, 1), "one is there already, as counted; another user's does not matter")
    t.is_(pg.value("SELECT requests FROM usage_records WHERE user_id = 'alice' AND bucket = '2026-11-28T02:05:00Z' AND endpoint = '/chat' "
                   "AND model = 'gpt' AND status = 'success'"), "5", "and stays as it was")
    after = state()
    t.is_(run("usage", "alice", "a.csv", text), (0, 16), "the same file again: nothing")
    t.is_(run("usage", "alice", "b.csv", HEADER + "\n".join(reversed(rows)).replace(",1,2,0.25,", ",9,9,9,")), (0, 16), "nor with other numbers")
    t.is_(run("usage", "alice", "c.csv", text.replace("T02:05:00Z", "T03:05:00+01:00")), (0, 16), "nor with its times written in another way")
    t.is_(state(), after, "everything is as it was")
    t.is_(run("usage", "bob", "d.csv", text + "\n".join(rows) + "\n"), (15, 17), "twice in one file")
    t.is_(run("usage", "alice", "e.csv", text + "2026-11-28T02:07:00Z,/chat,1,2,0.25,gpt,success\n", "--dry-run"), (1, 16), "a dry run says what would be")
    t.is_(pg.value("SELECT count(*) FROM usage_records WHERE user_id = 'alice'"), "16", "and imports nothing")

    # --- at once ---
    many = HEADER + "".join(f"2026-11-28,/e{n},1,1,1,m,success\n" for n in range(20_000))
    conversations = json.dumps({"data": [{"id": f"c{n}", "title": "", "createdAt": "2026-11-28", "updatedAt": "2026-11-28",
                                          "messages": [{"role": "user", "content": "x", "createdAt": "2026-11-28"}]} for n in range(2_000)]})
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for what, name, body, count in (("usage", "csv", many, 20_000), ("conversations", "json", conversations, 2_000)):
            results = [task.result() for task in [pool.submit(run, what, "carol", f"{n}.{name}", body) for n in range(4)]]
            t.is_(sorted(results), [(0, count)] * 3 + [(count, 0)], f"the same {what} four times at once: one imports it")
    t.is_(pg.sql("SELECT (SELECT count(*) FROM usage_records WHERE user_id = 'carol'), (SELECT count(*) FROM conversations), (SELECT count(*) FROM messages)"),
          [["20000", "2000", "2000"]], "and everything is there once")
    t.is_(pg.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'apikey_import%'"), "0", "no temporary table is left")
