#!/usr/bin/python3
# A key changes while the answer to a question about it is on its way, a yes or a no of before: the answer goes to who
# asked before the change, but it is not kept, and who comes after the change asks anew.
# Hazards: C1, C8, C15

from lib.apikeytest import Test, delay, request_bytes, wait_for
from lib.apikeytest.applied import Applied

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        api_key_cache valid=1h invalid=1h;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location = /pid { return 200 $pid; }
        location = /metrics { api_key_metrics; }
    }
}
"""
LATE = 0.7
DENIED = "invalid_api_key"
HEARD = {"one": 1, "another": 2, "all": 3, "new": 4, "owner": 5, "half": 6, "quiet": 7, "quiet, all": 8,
         "quiet, new": 9}


def parked(key, *askers):
    """Sends a request on each connection; Redis has answered all of them, and the answers are LATE on their way."""
    proxy.on("HMGET", delay(LATE), times=len(askers))
    before = proxy.count("HMGET", containing=key.hash)
    for asker in askers:
        asker.send(request_bytes(key=key))
    wait_for(lambda: proxy.count("HMGET", containing=key.hash) == before + len(askers))
    redis("PING")                                      # it has answered what came before
    t.is_(proxy.count("HMGET", containing=key.hash), before + len(askers), f"{key.user}: the questions are on their way")


def changed(receipt, *keys, workers=2):
    redis.announce(*keys, receipt=receipt)
    t.ok(heard.wait(receipt, workers), f"the change is confirmed by {workers}", heard.by(receipt))


def shown(answer):
    return answer.status, *(answer.saw("X-User-Id") if answer.status == 200 else [answer.code])


with Test() as t:
    users = {name: t.key(user=name) for name in HEARD}
    redis, upstream = t.redis(keys=[key for key in users.values() if not key.user.endswith("new")]), t.upstream()
    proxy, heard = t.redis_proxy(redis), Applied(redis)
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    t.ok(nginx.wait_watching(2), "two workers hear of changes")
    first, second = nginx.connect_each(2), nginx.connect_each(2)
    (a, a2), (b, b2) = [(first[pid], second[pid]) for pid in first]

    # Revoked: by its name, and by word that any key may have changed.
    for user, named in (("one", True), ("all", False)):
        key = users[user]
        parked(key, a)
        redis.revoke(key)
        changed(HEARD[user], *([key] if named else []))
        proxy.forget()
        t.is_(a2.request(key=key).code, DENIED, f"{user}: who comes now is refused, in the worker that waits for a yes")
        t.is_(b.request(key=key).code, DENIED, f"{user}: and in the other")
        t.ok(proxy.count("HMGET", containing=key.hash) >= 1, f"{user}: Redis was asked anew")
        t.ok(a.response().status in (200, 401), f"{user}: who came before the change is answered")
        t.is_([c.request(key=key).code for c in (a, b, a2, b2)], [DENIED] * 4, f"{user}: the late yes is nowhere kept")

    # The same where nobody asks until the late answer has come: no later answer takes its place.
    for user, named in (("quiet", True), ("quiet, all", False), ("quiet, new", True)):
        key, before = users[user], "invalid_api_key" if user == "quiet, new" else None
        parked(key, a)
        redis.add(key) if before else redis.revoke(key)
        changed(HEARD[user], *([key] if named else []))
        t.is_(a.response().code, before, f"{user}: who came before the change is told what was true then")
        after = None if before else DENIED
        t.is_([c.request(key=key).code for c in (a, b, a2, b2)], [after] * 4, f"{user}: what is true now holds for everybody after it")

    # Both workers wait for a yes of before, and only one of them has heard of the change: their zone is one.
    key = users["another"]
    parked(key, a, b)
    redis.revoke(key)
    proxy.on("MESSAGE", delay(LATE + 0.15), nth=1)
    changed(HEARD["another"], key, workers=1)
    t.is_({c.response().status for c in (a, b)}, {200}, "both get what was true when they asked")
    t.is_([c.request(key=key).code for c in (a, b)], [DENIED] * 2, "and neither of them keeps it")
    t.ok(nginx.wait_watching(2), "the other worker hears of changes again")

    # A no is on its way while the key is created.
    key = users["new"]
    parked(key, a)
    redis.add(key)
    changed(HEARD["new"], key)
    t.is_(shown(a2.request(key=key)), (200, "new"), "created meanwhile: who comes now is served")
    a.response()
    t.is_([shown(c.request(key=key)) for c in (a, b, a2)], [(200, "new")] * 3, "and the late no is nowhere kept")

    # Its owner changes while the old one's name is on its way.
    key = users["owner"]
    parked(key, a)
    redis.add(key, user="heir")
    changed(HEARD["owner"], key)
    t.is_(shown(a2.request(key=key)), (200, "heir"), "another owner: who comes now is him")
    t.is_(shown(a.response()), (200, "owner"), "who came before is who he was")
    t.is_([shown(c.request(key=key)) for c in (a, b, a2, b2)], [(200, "heir")] * 4, "and the late name is nowhere kept")

    # What was said of the others is no accident: this one's answer is kept.
    key = users["half"]
    t.is_(shown(a.request(key=key)), (200, "half"), "a key that nothing happens to")

    def questions():
        proxy.forget()
        t.is_([shown(c.request(key=key)) for c in (a, b, a2, b2)], [(200, "half")] * 4, "is served")
        return proxy.count("HMGET", containing=key.hash)

    t.ok(wait_for(lambda: questions() == 0), "by what is kept")    # not at once, where the zone's lock was just taken
