#!/usr/bin/python3
# Two apikeyd: one leads, the other takes over when it dies, hangs or stops; one that wakes up late writes nothing.
# Hazards: S2, C11, C13

import signal

from lib.apikeytest import Test, wait_for

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    alice, bob, carol = (t.key(user=user) for user in ("alice", "bob", "carol"))
    for key in (alice, bob, carol):
        pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
               f"VALUES ('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')")
    first = t.apikeyd(pg, redis)
    leader = redis("GET", "apikey:leader")
    second = t.apikeyd(pg, redis, wait=False)

    def is_known(key):
        return redis("EXISTS", f"apikey:k:{key.hash}") == 1

    def revoke(key):
        pg.sql(f"UPDATE api_keys SET is_active = false WHERE id = '{key.id}'")

    revoke(alice)
    t.ok(wait_for(lambda: not is_known(alice), 2), "a revocation, with both up")
    t.is_(redis("GET", "apikey:leader"), leader, "one leads all the time")

    # The leader hangs; the other takes over; the first wakes up.
    first.process.pause()
    revoke(bob)
    t.ok(wait_for(lambda: not is_known(bob), 4), "the other takes over from one that hangs")
    t.isnt(redis("GET", "apikey:leader"), leader, "under a lease of its own")
    leader = redis("GET", "apikey:leader")
    first.process.resume()
    t.ok(not wait_for(lambda: is_known(alice) or is_known(bob) or redis("GET", "apikey:leader") != leader, 1.5),
         "the one that woke up changes nothing")

    second.kill()
    revoke(carol)
    t.ok(wait_for(lambda: not is_known(carol), 4), "and takes over when the other is killed")

    second.start(wait=False)
    t.ok(first.stop(3), "a clean stop")
    dave = t.key(user="dave")
    pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
           f"VALUES ('{dave.id}', 'dave', 'k', '{dave.hash}', '{dave.prefix}')")
    t.ok(wait_for(lambda: is_known(dave), 3), "hands over")
