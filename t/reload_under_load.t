#!/usr/bin/python3
# A hundred reloads while clients ask without pause, some of them parked, over two servers: no request fails, nobody is mistaken
# for another, the key cache stays warm, and afterwards nothing is left over.
# Hazards: N15

import random
import threading
import time

from lib.apikeytest import Test, delay, memory_of, places, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    api_key_cache %CACHE%;
    include %API_KEY_PARAMS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "one, version %VERSION%"; proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen 127.0.0.1:%PORT_B%;
        location / { api_key "two, version %VERSION%"; api_key_require chat; proxy_pass http://%UPSTREAM%; }
        location /kept/ { api_key "kept"; api_key_cache valid=10m; empty_gif; }
    }
}
"""

CLIENTS, RELOADS = 6, 100


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
            time.sleep(0.005)


def memory():
    """What the master has for itself, in KiB."""
    return memory_of(nginx.master, "Anonymous")


def reload_often(first, last):
    done = 0
    for version in range(first, last):
        nginx.write_config(version=version)
        done += nginx.reload(timeout=30)
    return done


with Test(limit=300) as t:
    keys = [t.key(user=f"user-{n}", scopes="chat") for n in range(20)]
    proxy = t.redis_proxy(t.redis(keys=keys), seed=1, record=False)
    # Half of the time a verdict is good for 50 ms, so that requests are parked, too.
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream(), version=0, cache="valid=50ms")
    proxy.on("HMGET", delay(0, 0.01))
    t.ok(wait_for(lambda: nginx.get("/", keys[0]).status == 200), "Redis is in use")
    seldom = t.key(user="seldom", scopes="chat")
    proxy.redis.add(seldom)
    t.is_(nginx.get("/kept/", seldom, port=nginx.ports["PORT_B"]).status, 200, "a key is asked for once, before all reloads")
    time.sleep(0.2)
    links, baseline, over, before = len(proxy.links), nginx.fds(), threading.Event(), len(nginx.requests())

    clients = [Client(number) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    reloaded = reload_often(1, RELOADS // 5)
    size = memory()
    nginx.write_config(cache="valid=30s")
    reloaded += reload_often(RELOADS // 5, RELOADS + 1)
    grown = memory() - size
    over.set()
    for client in clients:
        client.join()
    asked = sum(client.asked for client in clients)
    t.is_(reloaded, RELOADS, "every reload brings new workers, and the old ones end")
    t.is_([w for client in clients for w in client.wrong], [], f"{asked} requests: each is answered, as oneself")
    t.ok(asked > 5 * RELOADS, "in the thick of it")
    t.logged_once(nginx, before + asked)
    t.ok(wait_for(lambda: len(proxy.links) == links), "as many connections to Redis as before", len(proxy.links))
    t.is_(nginx.get("/").header("WWW-Authenticate"), f'Bearer realm="one, version {RELOADS}"', "by the new configuration")
    if not places.SANITIZED:                           # which keeps what was freed
        t.ok(grown < 2048, "the master's memory stays as it was", f"{grown} KiB more after {RELOADS * 4 // 5} reloads")
    t.fds_return(nginx, baseline)

    asked = proxy.count("HMGET")
    proxy.refuse()
    proxy.close_all()
    r = nginx.get("/kept/", seldom, port=nginx.ports["PORT_B"])
    t.is_((r.status, proxy.count("HMGET")), (200, asked), "the key of the beginning is still cached: Redis is gone, and it is let in")
    t.note(f"{asked} requests, master +{grown} KiB")
