#!/usr/bin/python3
# The curl commands that people have: exports as CSV and JSON, filtered, conversations, one of them; each leaves the file that it names.
# And back again: what one account exported another imports, and exports byte for byte.
# Hazards: D1, D5, D15, G13, V1

import csv
import io
import json
import os
import subprocess
from decimal import Decimal

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %APIKEYD%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        api_key_usage off;
        client_max_body_size 10m;
        location /api/export/usage         { api_key_export usage; }
        location /api/export/conversations { api_key_export conversations; }
        location /api/import/usage         { api_key_import usage; }
        location /api/import/conversations { api_key_import conversations; }
    }
}
"""
COMMANDS = {
    "usage.csv": 'curl -H "Authorization: Bearer YOUR_API_KEY" "https://infinityassistant.io/api/export/usage?format=csv" -o usage.csv',
    "usage.json": 'curl -H "Authorization: Bearer YOUR_API_KEY" "https://infinityassistant.io/api/export/usage?format=json" -o usage.json',
    "usage-filtered.csv": 'curl -H "Authorization: Bearer YOUR_API_KEY" '
                          '"https://infinityassistant.io/api/export/usage?format=csv&startDate=2025-01-01&endDate=2025-02-05" -o usage-filtered.csv',
    "conversations.json": 'curl -H "Authorization: Bearer YOUR_API_KEY" "https://infinityassistant.io/api/export/conversations" -o conversations.json',
    "conversation.json": 'curl -H "Authorization: Bearer YOUR_API_KEY" '
                         '"https://infinityassistant.io/api/export/conversations?conversationId=xxx" -o conversation.json',
}
HEADER = "date,endpoint,requests,tokens,cost,model,status"
KEY_ID = "00000000-0000-4000-8000-00000000000a"
NASTY = ["/api/chat", "=1+1", "'=x", "''@a", "+5", "-0.00", "@", "\ttab", "\rcr", 'q"uo,te', "line\nfeed\r\n", " space ", "", "ünïcødé \u202eRTL 🎉\ufeff\ufffd", "e\u0301"]

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis)
    keys = {user: daemon.ctl("keys", "create", "--user", user, "--name", "n", json=True)["key"] for user in ("alice", "bob", "empty")}
    for key in keys.values():
        t.secret(key)
    nginx = t.nginx(CONF, redis=redis, apikeyd=daemon)
    folder = t.new_folder("downloads")

    connection = pg.connect()
    with connection.cursor() as cursor:
        for i, label in enumerate(NASTY):
            for month in (1, 2, 3):
                cursor.execute("INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in, tokens_out, cost) "
                               "VALUES ('alice', %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                               (KEY_ID, f"2025-0{month}-05T10:{i:02}:00Z", label, NASTY[-i], ("success", "error")[i % 2], i + 1, 2**53 + i, 7, "0.1" + "0" * i + "1"))
        for user, conversation in (("alice", "xxx"), ("alice", "yyy\u202e'\""), ("bob", "zzz")):
            cursor.execute("INSERT INTO conversations (user_id, id, title, model, metadata, created_at, updated_at) VALUES (%s, %s, %s, 'gpt', %s, "
                           "'2025-01-02T03:04:05.678Z', '2025-01-03Z')", (user, conversation, NASTY[-2], json.dumps({"n": 1, "t": NASTY})))
            for n, text in enumerate(NASTY):
                cursor.execute("INSERT INTO messages (user_id, id, conversation_id, position, role, content, created_at) VALUES (%s, %s, %s, %s, 'user', %s, "
                               "'2025-01-02T03:04:05Z')", (user, f"{conversation}-{n}", conversation, n, text))

    def run(name, user="alice"):
        """The command as it is printed, but for the host and the key; the bytes of the file."""
        command = COMMANDS[name].replace("YOUR_API_KEY", keys[user]).replace("https://infinityassistant.io", f"http://127.0.0.1:{nginx.port}")
        done = subprocess.run(command.replace("curl ", "curl -sS ", 1), shell=True, cwd=folder, capture_output=True, text=True, check=False)
        t.is_((done.returncode, done.stdout, done.stderr), (0, "", ""), f"{user}: {COMMANDS[name][:70]}... -o {name}")
        with open(f"{folder}/{name}", "rb") as file:
            return file.read()

    def send(path, user, kind, body, status=200):
        r = nginx.get(path, keys[user], method="POST", headers={"Content-Type": kind}, body=body)
        t.is_(r.status, status, f"{user}: POST {path}")
        return r.json

    def undone(text):
        return text[1:] if text.startswith("'") and text.lstrip("'")[:1] in tuple("=+-@\t\r") and text.lstrip("'") else text

    table = run("usage.csv").decode()
    t.is_(table.splitlines()[0], HEADER, "the header line of the format")
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    t.is_(len(rows), 3 * len(NASTY), "all rows")
    t.is_(rows[0], dict(zip(HEADER.split(","), ("2025-01-05T10:00:00Z", "/api/chat", "1", str(2**53 + 7), "0.11", "/api/chat", "success"))), "the first")
    t.is_(sorted(undone(row["endpoint"]) for row in rows), sorted(NASTY * 3), "every text, by Python's csv")
    document = json.loads(run("usage.json"), parse_float=Decimal)
    t.is_((list(document), document["success"], document["format"], document["recordCount"]),
          (["success", "exportDate", "format", "data", "recordCount"], True, "json", len(rows)), "the envelope; the count comes last")
    t.is_([(r["date"], r["endpoint"], r["requests"], r["tokens"], r["cost"], r["model"], r["status"]) for r in document["data"]],
          [(r["date"], undone(r["endpoint"]), int(r["requests"]), int(r["tokens"]), Decimal(r["cost"]), undone(r["model"]), r["status"]) for r in rows],
          "the same rows as JSON, exactly")
    filtered = run("usage-filtered.csv").decode()
    t.is_({row["date"][:10] for row in csv.DictReader(io.StringIO(filtered, newline=""))}, {"2025-01-05", "2025-02-05"}, "both days belong to the range")

    every = json.loads(run("conversations.json"))
    t.is_((every["recordCount"], [c["id"] for c in every["data"]]), (2, ["xxx", "yyy\u202e'\""]), "alice's conversations")
    one = json.loads(run("conversation.json"))
    t.is_((one["recordCount"], one["data"]), (1, every["data"][:1]), "the single one")
    t.is_([m["content"] for m in one["data"][0]["messages"]], NASTY, "its messages in their order, text untouched")
    t.is_(one["data"][0]["metadata"], {"n": 1, "t": NASTY}, "its metadata")
    answers = [nginx.get(f"/api/export/conversations?conversationId={i}", keys["alice"]) for i in ("zzz", "nowhere", "%27%3B--", "xxx%20")]
    t.is_([(a.status, a.body) for a in answers], [(404, answers[0].body)] * 4, "another's, none, and garbage: the same 404")

    # --- nothing at all ---
    t.is_(run("usage.csv", "empty").decode(), HEADER + "\n", "no usage: the header alone")
    nothing = json.loads(run("usage.json", "empty"))
    t.is_((nothing["data"], nothing["recordCount"]), ([], 0), "and an empty list that is complete")

    # --- and back: export, import, export ---
    for name, path, kind, user in (("usage.csv", "/api/import/usage", "text/csv", "bob"), ("usage.json", "/api/import/usage", "application/json", "empty"),
                                   ("conversations.json", "/api/import/conversations", "application/json", "empty")):
        exported = run(name)
        count = every["recordCount"] if "conversations" in name else len(rows)
        tried = send(f"{path}?dryRun=true", user, kind, exported)
        t.is_(tried, {"success": True, "imported": count, "skipped": 0, "errors": []}, f"{name}: a dry run says what would be")
        t.is_(send(path, user, kind, exported), tried, "and the import does it")
        t.is_(send(path, user, kind, exported), {"success": True, "imported": 0, "skipped": count, "errors": []}, "the second time nothing is new")
        again = run(name, user)
        if name.endswith(".csv"):
            t.is_(again, exported, "exported again: byte for byte the same")
        else:
            cut = lambda text: text.split(b'"exportDate":"')[0] + text.split(b'"exportDate":"')[1].split(b'"', 1)[1]
            t.is_(cut(again), cut(exported), "exported again: byte for byte the same but for exportDate")
    t.is_(send("/api/import/usage", "alice", "text/csv", run("usage.csv")), {"success": True, "imported": 0, "skipped": len(rows), "errors": []},
          "one's own export brings nothing")
    os.unlink(f"{folder}/usage.csv")
