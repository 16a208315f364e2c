"""A proxy between nginx (or apikeyd) and Redis that understands whole commands and replies, and spoils them.

By script:  proxy.on("HMGET", drop(), nth=3)          the third reply to an HMGET from now on
            proxy.on("HMGET", delay(0.3))             every one
            proxy.on_request("HMGET", cut(10))        the command itself
By chance:  proxy.at_random({swap(): 0.01, drop(): 0.002}, seed=7)
Connections: proxy.mode = "forward" | "close" | "reset" | "hole" (new ones), proxy.refuse(), proxy.accept(),
            proxy.close_all(), proxy.black_hole() / proxy.forward() for those that are open.
"""

import asyncio
import collections
import os
import random
import threading

from .ports import free_port
from .redis_link import Link, Side


class Rule:
    def __init__(self, command, fault, nth, times, containing):
        self.command, self.fault, self.containing = command.upper(), fault, containing
        self.first = nth or 1
        self.last = self.first + (times or (1 if nth else 1 << 60)) - 1
        self.seen = 0

    def matches(self, args):
        if self.command not in ("*", args[0].upper()):
            return False
        if self.containing is not None and not any(self.containing in arg for arg in args):
            return False
        self.seen += 1
        return self.first <= self.seen <= self.last


class RedisProxy:
    def __init__(self, folder, redis, port=False, seed=None, record=True, tls=None):
        """`record`: keep every command in .commands (turn off for very many). `tls`: the Certificate by which the proxy
        itself is a TLS server (how it talks to Redis is another matter)."""
        self.redis, self.folder, self.tls = redis, folder, tls
        self.port = free_port() if port or tls else 0
        self.path = f"{folder}/proxy.sock"
        self.rng = random.Random(seed)
        self.mode, self.recording = "forward", record
        self.reply_rules, self.request_rules, self.chances = [], [], []
        self.commands, self.counts = [], {}          # what came: [connection, [arguments]]; how many of each name
        self.connections, self.spoilt = 0, collections.Counter()       # faults by name
        self.kinds = collections.Counter()           # nginx workers' connections: "lookups", "subscription"
        self.errors, self.links = [], set()
        self.loop, self._server = asyncio.new_event_loop(), None
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.accept()

    def __str__(self):
        """What follows api_key_redis in nginx.conf."""
        if self.tls:
            return f"rediss://localhost:{self.port}/0"
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix:{self.path}"

    @property
    def address(self):
        return ("127.0.0.1", self.port) if self.port else self.path

    @property
    def ca_file(self):
        return self.tls.authority

    # --- the script -----------------------------------------------------------------------------------------

    def on(self, command, fault, nth=None, times=None, containing=None):
        """Spoils replies to `command` ("*": any; "MESSAGE": published ones) that has `containing` in an argument:
        every one, or from the nth on (from now) so many times, once when only nth is given."""
        self.reply_rules.append(Rule(command, fault, nth, times, containing))

    def on_request(self, command, fault, nth=None, times=None, containing=None):
        """The same for the commands on their way to Redis."""
        self.request_rules.append(Rule(command, fault, nth, times, containing))

    def at_random(self, chances, seed=None, command="*"):
        """{fault: probability}, added to those of earlier calls: each reply (to `command`) meets at most one."""
        if seed is not None:
            self.rng.seed(seed)
        self.chances = self.chances + [(fault, chance, command.upper()) for fault, chance in chances.items()]

    def clear(self):
        """No more faults; what was recorded stays."""
        self.reply_rules, self.request_rules, self.chances, self.mode = [], [], [], "forward"

    def spoil(self, fault, lane, frame):
        self.spoilt[fault.__qualname__.partition(".")[0]] += 1
        return fault(lane, frame)

    # --- the record -----------------------------------------------------------------------------------------

    def note(self, connection, args):
        name = args[0].upper()
        self.counts[name] = self.counts.get(name, 0) + 1
        if self.recording:
            self.commands.append([connection, args])

    def count(self, name, containing=None):
        """How many such commands came since the start or forget()."""
        if containing is None:
            return self.counts.get(name.upper(), 0)
        return sum(args[0].upper() == name.upper() and any(containing in arg for arg in args)
                   for _, args in self.commands)

    def forget(self):
        self.commands, self.counts = [], {}

    # --- connections ----------------------------------------------------------------------------------------

    def accept(self):
        """(Again) listens."""
        self._run(self._listen())

    def refuse(self):
        """Stops listening: connection refused. Open connections stay; see close_all()."""
        async def stop():
            if self._server:
                self._server.close()
                self._server = None
        self._run(stop())

    def close_all(self, reset=False, kind=None):
        """`kind`: only "lookups" or only "subscription" (see .kinds)."""
        async def close():
            for link in list(self.links):
                if kind in (None, link.kind):
                    link.close(reset)
        self._run(close())

    def black_hole(self, kind=None):
        """Open connections stay open and nothing passes any more; new ones are treated alike, unless it is only for those
        of a kind."""
        self.mode = self.mode if kind else "hole"
        for link in list(self.links):
            if kind in (None, link.kind):
                link.deaf = True

    def forward(self):
        """New connections work again; those in the black hole stay there."""
        self.mode = "forward"

    def stop(self):
        self.refuse()
        self.close_all()
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def _listen(self):
        if self._server:
            return
        if self.port:
            self._server = await self.loop.create_server(self._accepted, "127.0.0.1", self.port, backlog=1024,
                                                         ssl=self.tls and self.tls.server_context())
        else:
            self._server = await self.loop.create_unix_server(self._accepted, self.path, backlog=1024)
            os.chmod(self.path, 0o777)     # nginx's workers run as another user

    def _accepted(self):
        self.connections += 1
        link = Link(self, self.connections)
        self.links.add(link)
        if self.mode in ("close", "reset"):
            link.close(self.mode == "reset")
        elif self.mode == "hole":
            link.deaf = True
        else:
            self.loop.create_task(self._connect(link))
        return Side(link, link.replies, link.from_client)

    async def _connect(self, link):
        def side():
            return Side(link, link.requests, link.from_redis)
        try:
            if isinstance(self.redis.address, tuple):
                await self.loop.create_connection(side, *self.redis.address)
            else:
                await self.loop.create_unix_connection(side, self.redis.address)
        except OSError:
            link.close()
