#!/usr/bin/python3
# apikeyctl export conversations: each with its messages, in order, whatever text is in them; one by its id, and another's as if there were none.
# Hazards: D1, D2, D3, G13, V1, V5

import json
import random

from lib.apikeytest import Test
from lib.apikeytest.apikeyd import apikeyctl

NASTY = ["", "=1+1", 'say "hi"', "\\", "\\N", "\\.", "\t", "a\nb\r\nc\rd", "\x01\x0b\x7f", "Zoë", "Zoe\u0308", "\u202eRTL", "\ufeffBOM", "\U0001f600" * 3,
         "' OR 1=1 --", "x" * 200_000, "</script>"]


def metadata(rng):
    return {rng.choice(NASTY[:-2]): rng.choice([*NASTY[:-2], None, True, [1, {"a": []}]]) for _ in range(rng.randint(0, 3))}


with Test() as t:
    rng, pg = random.Random(7), t.postgres()
    config = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), t.redis(), wait=None).config
    expected = []
    with pg.connect().cursor() as cursor:
        for number in range(60):
            made = {"id": rng.choice(NASTY[1:-2]) + str(number), "title": rng.choice(NASTY), "model": rng.choice(["", "gpt-4o"]), "metadata": metadata(rng),
                    "createdAt": f"2026-11-{rng.randint(1, 9):02}T10:00:00{rng.choice(['', '.5'])}Z", "updatedAt": "2026-11-28T00:00:00.000001Z", "messages": []}
            for user in ("alice", "bob"):
                cursor.execute("INSERT INTO conversations VALUES (%s, %s, %s, %s, %s, %s, %s)",
                               (user, made["id"], made["title"] if user == "alice" else "bob's", made["model"], json.dumps(made["metadata"]), made["createdAt"], made["updatedAt"]))
            count = rng.choice([0, 1, 2, 13])
            places = rng.sample(range(-1000, 1000), count)
            for place in sorted(places):
                made["messages"].append({"id": f"{number}/{place}", "role": rng.choice(["user", "assistant", "=x"]), "content": rng.choice(NASTY),
                                         "metadata": metadata(rng), "createdAt": f"2026-11-{rng.randint(1, 28):02}T00:00:00Z"})
            for place, message in rng.sample(list(zip(sorted(places), made["messages"])), count):       # stored in another order
                cursor.execute("INSERT INTO messages VALUES ('alice', %s, %s, %s, %s, %s, %s, %s)",
                               (message["id"], made["id"], place, message["role"], message["content"], json.dumps(message["metadata"]), message["createdAt"]))
                cursor.execute("INSERT INTO messages VALUES ('bob', %s, %s, %s, 'user', 'bob''s', '{}', now())", (message["id"], made["id"], place))
            expected.append(made)
    expected.sort(key=lambda c: (c["createdAt"].rstrip("Z"), c["id"].encode()))

    def export(*args, user="alice", status=0):
        code, out, err = apikeyctl("--config", config, "export", "conversations", "--user", user, *args, status=None)
        t.is_(code, status, f"export {' '.join(map(repr, args))} of {user}")
        return (json.loads(out) if out else None), err, out

    document, _, text = export()
    t.is_(document["data"], expected, f"all {len(expected)} conversations with their messages, in order")
    t.is_((list(document), document["recordCount"]), (["success", "exportDate", "format", "data", "recordCount"], len(expected)), "the envelope, the count at its end")
    t.is_(list(document["data"][0]), ["id", "title", "model", "metadata", "createdAt", "updatedAt", "messages"], "fields in their order")
    t.like(text, r'\A\{"success":true,"exportDate":"[^"]+Z","format":"json","data":\[\n\{"id":', "begins so")
    t.unlike(text, "bob's", "nothing of another user's")
    t.is_(export(user="carol")[0]["data"], [], "who has none gets an empty list")
    for one in (expected[0], expected[-1]):
        t.is_(export("--conversation", one["id"])[0]["data"], [one], "one by its id")
    for begin, end in (("2026-11-02", "2026-11-04"), ("2026-11-03T10:00:00.5Z", "2026-11-05T10:00:00Z")):
        until = end if "T" in end else end + "T99"
        kept = [c for c in expected if begin <= c["createdAt"].replace("0Z", "0.0Z") and c["createdAt"].replace("0Z", "0.0Z") < until.replace("0Z", "0.0Z")]
        t.is_(export("--from", begin, "--to", end)[0]["data"], kept, f"created from {begin} to {end}")
    pg.sql("INSERT INTO conversations (user_id, id) VALUES ('bob', 'secret')")
    unknown, foreign = (export("--conversation", name, status=1) for name in ("nothing", "secret"))
    t.is_((unknown[2], foreign[2]), ("", ""), "nothing is written where there is no such conversation")
    t.is_(foreign[1].replace("secret", "nothing"), unknown[1], "and another's is the same as none")
    path = f"{t.new_folder('out')}/all.json"
    export("-o", path)
    with open(path, encoding="utf-8") as file:
        t.is_(json.load(file)["data"], expected, "the same in a file")
