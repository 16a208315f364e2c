#!/usr/bin/python3
# Two apikeyd: one leads, the other takes over when it dies, hangs or stops; one that wakes up late writes nothing.
# Hazards: S2, C11, C13

from lib.apikeytest import Gate, Test, wait_for

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    alice, bob, carol, dave, erin, frank = (t.key(user=user) for user in ("alice", "bob", "carol", "dave", "erin", "frank"))
    proxy = t.redis_proxy(redis)

    def insert(key):
        pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
               f"VALUES ('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')")

    for each in (alice, bob, carol):
        insert(each)
    first = t.apikeyd(pg, proxy)
    leader = redis("GET", "apikey:leader")
    second = t.apikeyd(pg, proxy, wait=False)

    def is_known(key):
        return redis("EXISTS", f"apikey:k:{key.hash}") == 1

    def revoke(key):
        pg.sql(f"UPDATE api_keys SET is_active = false WHERE id = '{key.id}'")

    def restore(key):
        pg.sql(f"UPDATE api_keys SET is_active = true WHERE id = '{key.id}'")

    revoke(alice)
    t.ok(wait_for(lambda: not is_known(alice), 2), "a revocation, with both up")
    t.is_(redis("GET", "apikey:leader"), leader, "one leads all the time")

    def hangs(leads, command, key, change, change_back):
        """The leader hangs when it is about to tell Redis of a change of the key; the other takes over, and the key is changed back.
        What the first had to say comes to Redis then, and the first wakes up."""
        leader, gate, there = redis("GET", "apikey:leader"), Gate(), is_known(key)
        proxy.forget()
        proxy.on_request(command, gate.hold, nth=1, containing=key.hash)
        change(key)
        t.ok(wait_for(lambda: proxy.count(command, containing=key.hash) == 1), f"{command}: the leader hangs")
        leads.process.pause()
        t.ok(wait_for(lambda: is_known(key) != there, 4), f"{command}: the other takes over")
        t.isnt(redis("GET", "apikey:leader"), leader, f"{command}: under a lease of its own")
        change_back(key)
        t.ok(wait_for(lambda: is_known(key) == there, 2), f"{command}: the key is changed back")
        leader = redis("GET", "apikey:leader")
        gate.open()
        t.must(not wait_for(lambda: is_known(key) != there, 0.5), f"{command}: what the first had still to say is refused")
        leads.process.resume()
        t.ok(not wait_for(lambda: redis("GET", "apikey:leader") != leader, 1.5), f"{command}: the one that woke up does not lead")
        t.must(is_known(key) == there and not is_known(alice), f"{command}: and has changed nothing")
        proxy.clear()

    hangs(first, "HSET", erin, insert, revoke)
    hangs(second, "EVAL", bob, revoke, restore)

    # It does not hang, and another's lease begins in the moment before it writes: to try again is no way round that.
    gate = Gate()
    proxy.on_request("HSET", gate.hold, nth=1, containing=frank.hash)
    insert(frank)
    t.ok(wait_for(lambda: proxy.count("HSET", containing=frank.hash) > 0), "the leader is about to write")
    redis("SET", "apikey:leader", "somebody else", "PX", 3000)
    gate.open()
    t.must(not wait_for(lambda: is_known(frank), 1), "under another's lease it writes nothing")
    t.ok(wait_for(lambda: is_known(frank)), "when that has ended, what is missing is written")

    first.kill()
    revoke(carol)
    t.ok(wait_for(lambda: not is_known(carol), 4), "the other takes over when one is killed")

    first.start(wait=False)
    t.ok(second.stop(3), "a clean stop")
    insert(dave)
    t.ok(wait_for(lambda: is_known(dave), 3), "hands over")
