#!/usr/bin/python3
# Conversations with random text of all of Unicode in every field: what we export is what Python reads of the table, and whatever Python's json
# writes (escaped or not, indented, members in any order) is imported exactly, and exported as before.
# Hazards: D1, D6, V4

import json
import os
import random
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from lib.apikeytest import Test, nasty
from lib.apikeytest.unix_http import Sidecar

CONVERSATIONS = "INSERT INTO conversations (user_id, id, title, model, metadata, created_at, updated_at) VALUES ('alice'" + ", %s" * 6 + ")"
MESSAGES = "INSERT INTO messages (user_id, id, conversation_id, position, role, content, metadata, created_at) VALUES ('alice'" + ", %s" * 7 + ")"
DAY = datetime(2026, 11, 28, tzinfo=timezone.utc)


def moment(rng):
    """As an export writes it."""
    at = DAY + timedelta(seconds=rng.randrange(9), microseconds=rng.choice((0, 1, 120_000)))
    return at.isoformat().removesuffix("+00:00").rstrip("0" if at.microsecond else "") + "Z"


def value(rng, depth=0):
    """Something that jsonb holds: no NUL, numbers of any size."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind < 3:
        return nasty.text(rng)
    if kind < 6:
        return rng.choice((None, True, False, 0, -1, 2**63, -(2**200), Decimal("0.1"), Decimal("1.10"), Decimal("123456789.000000000000000000001")))
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {nasty.text(rng): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def metadata(rng):
    return {nasty.text(rng): value(rng) for _ in range(rng.choice((0, 1, 3)))}


def names(rng, count):
    """Ids and roles: texts without control characters, which an import refuses there."""
    made = (re.sub("[\x01-\x1f\x7f]", "", text) for text in nasty.texts(rng, count))
    return list(dict.fromkeys(name for name in made if name and len(name.encode()) <= 255))


def make(rng, count):
    """Conversations as an export has them, sorted as it is."""
    ids, roles, message_ids = names(rng, count), [name for name in names(rng, 300) if len(name.encode()) <= 64], iter(names(rng, 8 * count))
    made = [{"id": name, "title": nasty.text(rng), "model": nasty.text(rng, 2), "metadata": metadata(rng), "createdAt": moment(rng), "updatedAt": moment(rng),
             "messages": [{"id": next(message_ids), "role": rng.choice(roles), "content": nasty.text(rng, 30), "metadata": metadata(rng), "createdAt": moment(rng)}
                          for _ in range(rng.choice((0, 1, 1, 5)))]} for name in ids]
    return sorted(made, key=lambda each: (datetime.fromisoformat(each["createdAt"][:-1].ljust(26, "0") if "." in each["createdAt"] else each["createdAt"][:-1]), each["id"].encode()))


class Exact(json.JSONEncoder):
    """json, and Decimal as the number that it is."""

    numbers = None

    def default(self, o):
        self.numbers.append(f"{o:f}")
        return f"number {len(self.numbers) - 1} of this"


def dumps(document, **how):
    class Encoder(Exact):
        numbers = []
    text = json.dumps(document, cls=Encoder, **how)
    for number, digits in enumerate(Encoder.numbers):
        text = text.replace(f'"number {number} of this"', digits, 1)
    return text


def shuffled(rng, thing):
    """The same with members in another order."""
    if isinstance(thing, dict):
        return {name: shuffled(rng, thing[name]) for name in rng.sample(list(thing), len(thing))}
    return [shuffled(rng, each) for each in thing] if isinstance(thing, list) else thing


def loads(text):
    return json.loads(text, parse_float=Decimal)


with Test() as t:
    seed = os.environ.get("SEED", os.urandom(4).hex())
    t.note(f"SEED={seed}")
    rng = random.Random(seed)
    pg, redis = t.postgres(), t.redis()
    sidecar = Sidecar(t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), redis))
    cursor = pg.connect().cursor()
    wanted = make(rng, 400)
    for each in wanted:
        cursor.execute(CONVERSATIONS, (each["id"], each["title"], each["model"], dumps(each["metadata"]), each["createdAt"], each["updatedAt"]))
        cursor.executemany(MESSAGES, [(m["id"], each["id"], place, m["role"], m["content"], dumps(m["metadata"]), m["createdAt"]) for place, m in enumerate(each["messages"])])

    def same(got, name):
        differ = [pair for pair in zip(got, wanted) if pair[0] != pair[1]]
        t.ok(len(got) == len(wanted) and not differ, name, f"{len(got)} of {len(wanted)}", *(repr(each)[:2000] for pair in differ[:1] for each in pair))

    def cut(body):
        """An export's bytes but for its date."""
        return body.split(b'"exportDate":"', 1)[1].split(b'"', 1)[1]

    first = sidecar.get("/export/conversations").body
    document = loads(first)
    same(document["data"], f"{len(wanted)} conversations, read by Python")
    t.is_((document["recordCount"], first.decode().count("\n") >= len(wanted)), (len(wanted), True), "counted, and in UTF-8")
    for each in rng.sample(wanted, 40):
        answer = sidecar.get("/export/conversations?conversationId=" + "".join(f"%{byte:02X}" for byte in each["id"].encode()))
        t.ok(answer.status == 200 and loads(answer.body)["data"] == [each], f"one by its id {each['id']!a}", answer)

    ways = [{"ensure_ascii": ascii_only, "indent": indent, "sort_keys": sort} for ascii_only in (True, False) for indent in (None, 2, "\t") for sort in (True, False)]
    for number, how in enumerate(ways):
        body = dumps({"data": shuffled(rng, wanted), "recordCount": len(wanted)} if not how["sort_keys"] else {"data": wanted}, **how).encode()
        answer = sidecar.post("/import/conversations?format=json", body, user=f"user {number}")
        t.is_((answer.status, answer.text[:300]), (200, f'{{"success":true,"imported":{len(wanted)},"skipped":0,"errors":[]}}\n'), f"{how}: imported")
        t.ok(cut(sidecar.get("/export/conversations", user=f"user {number}").body) == cut(first), f"{how}: and exported, byte for byte")
    cursor.execute("SELECT c.id, c.title, c.model, m.id, m.role, m.content FROM conversations c JOIN messages m ON m.user_id = c.user_id AND m.conversation_id = c.id "
                   "WHERE c.user_id = 'user 0' ORDER BY c.created_at, c.id, m.position")
    t.ok(cursor.fetchall() == [(c["id"], c["title"], c["model"], m["id"], m["role"], m["content"]) for c in wanted for m in c["messages"]], "and the table has these texts")
