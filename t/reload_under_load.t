#!/usr/bin/python3
# Reloads while clients ask without pause, some of them parked, over two servers: no request fails, nobody is mistaken for
# another, and afterwards nothing is left over.
# Hazards: N15

import random
import threading
import time

from lib.apikeytest import Test, delay, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=2s;
    include %API_KEY_PARAMS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "one, version %VERSION%"; proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen 127.0.0.1:%PORT_B%;
        location / { api_key "two, version %VERSION%"; api_key_require chat; proxy_pass http://%UPSTREAM%; }
    }
}
"""

CLIENTS, RELOADS = 8, 10


class Client(threading.Thread):
    """One request per connection, so that no request can meet a connection that the old worker has just closed."""

    def __init__(self, number):
        super().__init__(daemon=True)
        self.rng, self.asked, self.wrong = random.Random(number), 0, []

    def run(self):
        while not over.is_set():
            key, port = self.rng.choice(keys), self.rng.choice((nginx.port, nginx.ports["PORT_B"]))
            try:
                r = nginx.get("/", key, headers={"Connection": "close"}, port=port)
                if r.status != 200 or r.saw("X-User-Id") != [key.user]:
                    self.wrong.append((key.user, r))
            except OSError as error:
                self.wrong.append((key.user, error))
            self.asked += 1


with Test() as t:
    keys = [t.key(user=f"user-{n}", scopes="chat") for n in range(20)]
    proxy = t.redis_proxy(t.redis(keys=keys), seed=1, record=False)
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream(), version=0)
    proxy.on("HMGET", delay(0, 0.01))
    t.ok(wait_for(lambda: len(proxy.links) == 2), "one link per worker")
    baseline, over = nginx.fds(), threading.Event()

    clients = [Client(number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    reloaded = []
    for version in range(1, RELOADS + 1):
        time.sleep(0.1)
        nginx.write_config(version=version)
        reloaded.append(nginx.reload())
    over.set()
    for client in clients:
        client.join()
    asked = sum(client.asked for client in clients)
    t.is_(reloaded, [True] * RELOADS, "every reload brings new workers, and the old ones end")
    t.is_([w for client in clients for w in client.wrong], [], f"{asked} requests: each is answered, as oneself")
    t.ok(asked > 20 * RELOADS, "in the thick of it")
    t.logged_once(nginx, asked)
    t.ok(wait_for(lambda: len(proxy.links) == 2), "one link per worker again", len(proxy.links))
    t.is_(nginx.get("/").header("WWW-Authenticate"), f'Bearer realm="one, version {RELOADS}"', "by the new configuration")
    t.fds_return(nginx, baseline)
