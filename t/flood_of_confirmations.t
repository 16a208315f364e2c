#!/usr/bin/python3
# Somebody publishes confirmations for ever, and faster than apikeyd can take them. Keys are revoked all the same.
# Hazards: R21

import select
import socket
import threading

from lib.apikeytest import Test, wait_for
from lib.apikeytest.places import SLOW
from lib.apikeytest.receipts import ReceiptClient

REVOCATIONS = 20
PUBLISHED = b"*3\r\n$7\r\nmessage\r\n$14\r\napikey:applied\r\n$1\r\nx\r\n"


class FloodingRelay:
    """Stands between apikeyd and Redis, and gives every subscriber messages without end: as many as a kernel can copy, so
    that there is always one more."""

    def __init__(self, real):
        self.redis, self.path, self.flooded = real, f"{t.new_folder('relay')}/redis.sock", 0
        self.messages = PUBLISHED * 50_000
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def __str__(self):
        return f"unix:{self.path}"

    def accept(self):
        while True:
            client, server = self.listening.accept()[0], socket.socket(socket.AF_UNIX)
            server.connect(self.redis.address)
            for way in ((client, server), (server, client)):
                threading.Thread(target=self.pass_on, args=way, daemon=True).start()

    def pass_on(self, source, to):
        try:
            is_subscription = False
            while data := source.recv(1 << 16):
                to.sendall(data)
                is_subscription = is_subscription or data.startswith(b"*3\r\n$9\r\nsubscribe")
                while is_subscription and not select.select([source], [], [], 0)[0]:
                    self.flooded += 1
                    to.sendall(self.messages)
        except OSError:
            pass
        for end in (source, to):
            end.close()


with Test() as t:
    keys = [t.key(user=f"user{number}") for number in range(REVOCATIONS)]
    pg, redis = t.postgres(), t.redis()
    for key in keys:
        pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
               f"VALUES ('{key.id}', '{key.user}', 'k', '{key.hash}', '{key.prefix}')")
    relay = FloodingRelay(redis)
    daemon, client = t.apikeyd(pg, relay), ReceiptClient(pg)

    daemon.ctl("sync")                                 # after a rebuild nothing is told for 1.5 s
    flooded = relay.flooded
    revoked = [client.change(f"UPDATE api_keys SET is_active = false WHERE id = '{key.id}'", timeout=2) for key in keys]
    t.is_([figures for _, figures in revoked], ["0/0"] * REVOCATIONS, "each revocation is told to be in force")
    t.is_(redis("KEYS", "apikey:k:*"), [], "and it is")
    took = sorted(seconds for seconds, _ in revoked)
    t.ok(took[REVOCATIONS // 2] < (1.0 if SLOW else 0.1), "at once", took)
    t.ok(wait_for(lambda: relay.flooded > flooded + 10), "and the flood went on", flooded, relay.flooded)
    t.unlike(daemon.log(), "cannot be heard", "apikeyd has listened to it all the while")
