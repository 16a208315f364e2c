#!/usr/bin/python3
# The list of a user's conversations, without what was said: the latest first, in pages, by the time they were created; each with how many messages it has.
# Hazards: V1, V5, D3

import urllib.parse

from lib.apikeytest import Test
from lib.apikeytest.management import Management

MORE = "location /api/export/conversations { api_key_export conversations; }"
LIST = "/api/export/conversations/summary"
TITLES = ["", "=1+1", 'say "hi"', "\\N", "a\nb", "Zoë", "\u202eRTL", "' OR 1=1 --", "</script>", "x" * 5000]

with Test() as t:
    m = Management(t, MORE)
    _, alice = m.key("alice")
    _, bob = m.key("bob", "conversations:read")
    expected = []
    with m.pg.connect().cursor() as cursor:
        for number in range(30):
            one = {"id": f"c/{number % 7}/{number} é", "title": TITLES[number % len(TITLES)], "model": "gpt" if number % 2 else "", "createdAt": f"2026-11-{1 + number // 3:02}T10:00:00.000000Z",
                   "updatedAt": f"2026-12-01T00:00:00.{number:06}Z", "messages": number % 4}
            cursor.execute("INSERT INTO conversations (user_id, id, title, model, created_at, updated_at) VALUES ('alice', %s, %s, %s, %s, %s)",
                           [one[name] for name in ("id", "title", "model", "createdAt", "updatedAt")])
            for place in range(one["messages"]):
                cursor.execute("INSERT INTO messages (user_id, id, conversation_id, position, role, content) VALUES ('alice', %s, %s, %s, 'user', 'secret')", (f"{number}/{place}", one["id"], place))
            expected.append(one)
        cursor.execute("INSERT INTO conversations (user_id, id, title) VALUES ('bob', 'his', 'his own')")
        cursor.execute("INSERT INTO messages (user_id, id, conversation_id, position, role, content) VALUES ('bob', 'm', 'his', 1, 'user', 'x')")
    expected.sort(key=lambda one: (one["createdAt"], one["id"].encode()), reverse=True)

    def pages(query=""):
        found, after = [], None
        while True:
            r = m.ask("GET", f"{LIST}?limit=7{query}" + ("" if after is None else "&after=" + urllib.parse.quote(after)), alice)
            t.is_((r.status, list(r.json)), (200, ["success", "data", "next"]), f"a page of {query or 'all'}")
            found, after = found + r.json["data"], r.json["next"]
            if after is None:
                return found

    t.is_(pages(), expected, "all of them, in pages")
    t.is_(m.ask("GET", LIST, alice).json["data"], expected, "or at once")
    t.is_(pages("&startDate=2026-11-03&endDate=2026-11-05"), [one for one in expected if "2026-11-03" <= one["createdAt"] < "2026-11-06"], "those of some days")
    t.unlike(m.ask("GET", LIST, alice).text, "secret|his own", "nothing that was said, nothing of another's")
    t.is_([one["title"] for one in m.ask("GET", LIST, bob).json["data"]], ["his own"], "each sees his own")
    for after in ("his", "nothing", "' OR 1=1 --"):
        r = m.ask("GET", f"{LIST}?after={urllib.parse.quote(after)}", alice)
        t.is_((r.status, r.code), (400, "invalid_parameter"), f"behind {after}, which is none of hers: an error, not an end")
    t.is_(m.ask("GET", LIST, m.key("alice", "usage:read")[1]).code, "insufficient_scope", "with the scope of the export")
