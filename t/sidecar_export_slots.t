#!/usr/bin/python3
# Of exports, two of a user and exports.parallel in all run at once, the next is told to come back; imports have bounds of their own.
# Hazards: X11

from lib.apikeytest import Test, wait_for
from lib.apikeytest.unix_http import Sidecar, fill_usage

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    for user in ("alice", "bob", "carol"):
        fill_usage(pg, 100_000, user)
    daemon = t.apikeyd(pg, redis, exports__parallel=3)
    sidecar = Sidecar(daemon)

    def stuck(user):
        """An export whose client has read the first bytes, and no more."""
        c = sidecar.begin("/export/usage?format=csv", user=user)
        t.ok(c.begun(), f"an export of {user} runs")
        return c

    def refused(user, name, path="/export/usage"):
        answer = sidecar.get(path, user=user)
        t.is_((answer.status, answer.code, answer.header("Retry-After")), (429, "too_many_exports", "5"), name)

    first, second = stuck("alice"), stuck("alice")
    refused("alice", "the third of alice")
    refused("alice", "of conversations, too", "/export/conversations")
    t.is_(sidecar.get("/export/usage/summary").status, 200, "a summary is none of them")
    bob = stuck("bob")
    refused("carol", "the fourth in all, though carol has none")
    t.is_([sidecar.get("/export/usage", user=f"user-{n}").status for n in range(50)], [429] * 50, "and fifty more")
    answer = first.response()
    t.ok(answer.whole and answer.body.count(b"\n") == 100_001, "those that run are not touched")
    t.is_(sidecar.get("/export/usage", user="carol").status, 200, "where one has ended, the next may")
    second.close()
    t.ok(wait_for(lambda: sidecar.get("/export/usage").status == 200), "or was given up")
    t.ok(bob.response().whole, "bob's is whole")
    t.is_([sidecar.get("/export/usage").status for _ in range(20)], [200] * 20, "no place is lost")

    # --- imports ---
    def half(user):
        c = sidecar.connect()
        c.send(sidecar.request("/import/usage?format=csv", user=user, method="POST",
                               headers=[("Transfer-Encoding", "chunked")]) + b"5\r\ndate,\r\n")
        t.ok(c.is_quiet(1), f"{user}'s is taken")     # before anybody else asks: the place would be theirs
        return c

    alice = half("alice")
    t.ok(wait_for(lambda: sidecar.post("/import/usage", b"", user="alice").code == "too_many_imports"), "a second import of alice")
    bob = half("bob")
    t.ok(wait_for(lambda: sidecar.post("/import/usage", b"", user="carol").code == "too_many_imports"), "a third in all")
    alice.close()
    t.ok(wait_for(lambda: sidecar.post("/import/usage", b"", user="carol").status == 400), "when one is gone, the next may")
    bob.close()
    row = b"date,endpoint,requests,tokens,cost,model,status\n2026-11-28,/e,1,1,1,,error\n"
    t.is_({sidecar.post("/import/usage?format=csv", row, user="dave").status for _ in range(300)}, {200}, "one after the other is never too many")
