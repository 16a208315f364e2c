#!/usr/bin/python3
# So many changes at once of one user, and so many in all: more are told so (429). Those who wait for a change to be in force hold up nobody who only reads.
# Hazards: X11

import collections
import concurrent.futures

from lib.apikeytest import Test, wait_for
from lib.apikeytest.management import Management

OF_USER, IN_ALL = 10, 40

with Test() as t:
    m = Management(t)
    m.nginx.wait_watching(2)
    keys = [m.key(f"user-{number}")[1] for number in range(6)]
    silent = t.worker(m.redis, confirms=False, name="silent")
    wait_for(lambda: m.redis("ZSCORE", "apikey:workers", "silent"), 5)

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        asked = [(user, pool.submit(m.ask, "POST", "", keys[user], {"name": "n"})) for _ in range(15) for user in range(5)]
        t.ok(wait_for(lambda: int(m.pg.value("SELECT count(*) FROM api_keys WHERE name = 'n'")) >= IN_ALL, 10), f"{IN_ALL} changes wait at once")
        reads = [m.ask("GET", path, keys[5]).status for path in ("", "me", "audit") for _ in range(3)]
        answers = [(user, future.result()) for user, future in asked]
    t.is_(reads, [200] * 9, "who only reads is served meanwhile")
    statuses = collections.Counter(answer.status for _, answer in answers)
    t.is_(set(statuses), {202, 429}, "a change is recorded, or told that there are too many", statuses)
    refused = next(answer for _, answer in answers if answer.status == 429)
    t.is_((refused.code, refused.header("Retry-After")), ("too_many_key_changes", "5"), "with a problem document")
    of_user = collections.Counter(user for user, answer in answers if answer.status == 202)
    t.ok(max(of_user.values()) <= OF_USER + 5 and statuses[202] >= IN_ALL, "of each user some", of_user)
    silent.leave()
    t.ok(wait_for(lambda: m.ask("POST", "", keys[0], {"name": "last"}).status == 201, 15), "and then there is room again")
