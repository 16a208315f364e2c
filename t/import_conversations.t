#!/usr/bin/python3
# apikeyctl import conversations: what an export wrote comes back exactly, as the caller's own; ids are each user's own.
# Hazards: D1, D6, D7, D15, V3, V4

import json

from lib.apikeytest import Test
from lib.apikeytest.apikeyd import apikeyctl

ODD = "a\tb\\\n\r\"é\u0301\u202e\U0001f600\ufffd\ufeff\\N\x01 '=1+1"
DAY = "2026-11-28T02:05:07.123456Z"


def conversation(name, messages=(), **more):
    return {"id": name, "title": "t", "createdAt": DAY, "updatedAt": DAY, "messages": list(messages)} | more


def message(name=None, **more):
    return ({"id": name} if name else {}) | {"role": "user", "content": "hi", "createdAt": DAY} | more


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis, wait=None)
    super_config = t.apikeyd(pg, redis, wait=None).config
    connection = pg.connect()

    def rows(sql, *values):
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return [list(row) for row in cursor.fetchall()]

    def conversations(user):
        return rows("SELECT id, title, model, metadata::text, created_at::text, updated_at::text FROM conversations "
                    "WHERE user_id = %s ORDER BY id", user)

    def messages(user):
        return rows("SELECT conversation_id, position::text, id, role, content, metadata::text, created_at::text FROM messages "
                    "WHERE user_id = %s ORDER BY 1, messages.position", user)

    def run(user, data, *options, status=0, config=daemon.config, text=None):
        path = f"{t.folder}/file.json"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text or json.dumps({"success": True, "data": data, "recordCount": len(data)}, ensure_ascii=False))
        return apikeyctl("--config", config, "import", "conversations", "--user", user, path, *options, status=status)

    # --- exactly ---
    exact = ('{"n": 12345678901234567890.123456789012345678901234567890, "big": 1e20, "one": 1.0}',
             '{"n": 12345678901234567890.123456789012345678901234567890, "big": 100000000000000000000, "one": 1.0}')
    data = [conversation("c 1", [message("m1", role="system", content=ODD, metadata={"a": [ODD.replace("\x01", "")]}), message(), message("m/3")],
                         title=ODD, model="gpt", metadata="HERE"),
            conversation("C 1", [], title=None, metadata=None)]
    text = json.dumps({"data": data}).replace('"HERE"', exact[0])
    t.is_(run("alice", None, text=text), "2 conversations imported, 0 skipped that were there already\n", "two conversations")
    at = "2026-11-28 02:05:07.123456+00"
    kept = sorted(json.loads(exact[1], parse_float=str).items())
    got = conversations("alice")
    t.is_([row[:3] + row[4:] for row in got], [["C 1", "", "", at, at], ["c 1", ODD, "gpt", at, at]], "with their texts and times")
    t.is_((got[0][3], sorted(json.loads(got[1][3], parse_float=str).items())), ("{}", kept), "and metadata, its numbers exactly")
    got = messages("alice")
    t.is_([row[:2] + row[3:5] + row[6:] for row in got],
          [["c 1", "0", "system", ODD, at], ["c 1", "1", "user", "hi", at], ["c 1", "2", "user", "hi", at]], "messages in their order")
    t.is_([got[0][2], got[2][2], json.loads(got[0][5])], ["m1", "m/3", {"a": [ODD.replace("\x01", "")]}], "with ids and metadata")
    t.like(got[1][2], "^[0-9a-f]{8}-[0-9a-f]{4}-4", "or a new id")

    # --- again, and partly ---
    before = messages("alice")
    t.is_(run("alice", None, text=text), "0 conversations imported, 2 skipped that were there already\n", "the same again is skipped")
    t.is_(messages("alice"), before, "with its messages")
    t.is_(run("alice", [conversation("c 1", [message("m1"), message("other")], title="changed"), conversation("c3", [message("m4")]),
                        conversation("c3", [message("m4"), message("m5")])]),
          "1 conversation imported, 2 skipped that were there already\n", "what is there already is not touched; of two with one id the first")
    t.is_([row[:2] for row in conversations("alice")], [["C 1", ""], ["c 1", ODD], ["c3", "t"]], "is taken")
    t.is_(messages("alice")[len(before):], [["c3", "0", "m4", "user", "hi", "{}", at]], "with its messages alone")
    t.is_(run("alice", [conversation("c4", [message("m9")])], "--dry-run"),
          "1 conversation would be imported, 0 skipped that were there already\n", "a dry run")
    t.is_(len(conversations("alice")), 3, "imports nothing")

    # --- V4: another user's ids are free ---
    answer = run("bob", [conversation("c 1", [message("m1")])])
    t.is_(answer, run("bob", [conversation("free", [message("free")])]), "an id of another user's is answered as a free one")
    t.is_([row[0] for row in conversations("bob")], ["c 1", "free"], "and is the caller's own")
    t.is_(messages("alice")[:3], before, "the other's is as it was")

    # --- ids of messages that are taken ---
    state = conversations("alice"), messages("alice")
    taken = [conversation("n1", [message(), message("m1"), message("new")]), conversation("n2", [message("new")]),
             conversation("c 1", [message("m1"), message("new")])]
    for options in ((), ("--dry-run",)):
        code, out, err = run("alice", taken, *options, status=None)
        t.is_((code, out), (1, ""), "ids of messages that are taken")
        t.is_(err, 'row 1, messages[1].id: "m1" is a message\'s of another conversation already\n'
                   'row 2, messages[0].id: "new" is an earlier message\'s of this file, too\n'
                   "apikeyctl: nothing was imported: these rows must be mended first\n", "each is named")
    many = [conversation("n1", [message("m1") for _ in range(120)])]
    code, out, err = run("alice", many, "--json", status=None)
    answer = json.loads(out)
    t.is_((len(answer["errors"]), answer["moreErrors"], answer["imported"], answer["skipped"]), (100, 139, 0, 0), "the first hundred of many")
    t.is_((conversations("alice"), messages("alice")), state, "nothing was imported")

    # --- V3 and the rest ---
    code, _, err = run("mallory", [conversation("x", [message("y", user_id="alice")], userId="alice")], status=None)
    t.like(err, r'^row 1, messages\[0\]: has an unknown member "user_id"\nrow 1: has an unknown member "userId"\n', "nobody is named in a row")
    t.is_((code, conversations("mallory")), (1, []), "so nothing is imported")
    t.is_(run("carol", [conversation("x", [message("y")])], config=super_config), "1 conversation imported, 0 skipped that were there already\n",
          "a superuser's connection works as well")
    t.is_(rows("SELECT user_id, id FROM conversations WHERE id = 'x'"), [["carol", "x"]], "for the user alone")
    code, _, err = apikeyctl("--config", daemon.config, "import", "conversations", "--user", "a", "x.csv", status=None)
    t.is_((code, err), (2, "apikeyctl: conversations come as JSON, not as CSV\n"), "not as CSV")
    large = "x\\" * (8 << 20)
    t.is_(run("dave", [conversation("x", [message("y", content=large)])]), "1 conversation imported, 0 skipped that were there already\n", "16 MiB in one message")
    t.ok(messages("dave")[0][4] == large, "come through whole")
