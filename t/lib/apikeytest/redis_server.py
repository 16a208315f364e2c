"""A private redis-server: on a Unix socket (default) or a port, with or without TLS, saving nothing unless told to."""

import copy
import os
import secrets
import signal

from . import places
from .ports import free_port
from .process import Process, need, read, wait_for
from .resp import RedisClient, RedisError


class Redis:
    def __init__(self, folder, port=False, options=None, prefix="apikey:", password=None, tls=None):
        """`port`: True, or which. `tls`: the Certificate of a TLS port (the test itself talks to the Unix socket). `options`:
        of redis-server, for example {"bind": "127.0.0.2"}."""
        need(places.REDIS_SERVER, "redis-server", "apt install redis-server, or set TEST_REDIS_SERVER")
        self.folder, self.prefix, self.password = folder, prefix, password
        self.port, self.tls = (free_port() if port is True or tls and not port else int(port)), tls
        self.socket_path = os.path.join(folder, "redis.sock")
        self.log_path = os.path.join(folder, "redis.log")
        self.options = {"bind": "127.0.0.1", "save": "", "appendonly": "no", "enable-debug-command": "yes"} | (options or {})
        if password:
            self.options["requirepass"] = password
        self._client = None
        self.process = None
        self.start()

    def __str__(self):
        """What follows api_key_redis in nginx.conf."""
        if self.tls:
            return f"rediss://localhost:{self.port}/0"
        return f"redis://{self.options['bind']}:{self.port}/0" if self.port else f"unix:{self.socket_path}"

    @property
    def address(self):
        return (self.options["bind"], self.port) if self.port and not self.tls else self.socket_path

    @property
    def ca_file(self):
        """What whoever is to trust its certificate is given."""
        return self.tls.authority

    def start(self):
        argv = [places.REDIS_SERVER, "--dir", self.folder, *self._port_options(), "--unixsocket", self.socket_path,
                "--unixsocketperm", "777", "--daemonize", "no"]
        for name, value in self.options.items():
            argv += [f"--{name}", *(value if isinstance(value, list) else [str(value)])]
        self.process = Process("redis-server", argv, self.log_path)
        if not wait_for(lambda: not self.process.alive() or self._answers()):
            raise RuntimeError(f"redis-server does not answer:\n{read(self.log_path)[-2000:]}")
        if not self.process.alive():
            raise RuntimeError(f"redis-server does not start:\n{read(self.log_path)[-2000:]}")

    def _port_options(self):
        if not self.tls:
            return ["--port", str(self.port)]
        return ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", self.tls.crt, "--tls-key-file",
                self.tls.key, "--tls-auth-clients", "no"]

    def _answers(self):
        try:
            return self.client()("PING") == "PONG"
        except (OSError, RedisError):
            return False

    def client(self, timeout=10.0):
        """A new connection (see RedisClient)."""
        client = RedisClient(self.address, timeout)
        if self.password:
            client("AUTH", self.password)
        return client

    def for_another_process(self):
        """The same server, with a connection of its own."""
        another = copy.copy(self)
        another._client = None             # pylint: disable=protected-access
        return another

    def __call__(self, *args):
        """redis("GET", "a") on a connection that is kept; a lost one is opened again."""
        if self._client is None:
            self._client = self.client()
        try:
            return self._client(*args)
        except (OSError, ConnectionError):
            self._client.close()
            self._client = self.client()
            return self._client(*args)

    # --- what apikeyd would write ------------------------------------------------------------------------

    def add(self, *keys, **other_fields):
        """Makes keys known, as apikeyd does; other_fields overwrite facts of all of them (None leaves one out)."""
        commands = []
        for key in keys:
            fields = {k: v for k, v in (key.redis_fields() | other_fields).items() if v is not None}
            commands.append(["HSET", f"{self.prefix}k:{key.hash}", *sum(fields.items(), ())])
        client = self.client()
        for value in client.pipeline(commands):
            if isinstance(value, RedisError):
                raise value
        client.close()

    def revoke(self, key):
        self("DEL", f"{self.prefix}k:{key.hash}")

    def announce(self, *keys, receipt=0):
        """Publishes that these keys have changed, without any that all may have; the receipt comes with the last."""
        words = [f"{key.hash} " for key in keys] or ["* "]
        client = self.client()
        client.pipeline([["PUBLISH", f"{self.prefix}changed", f"{word}{receipt if word is words[-1] else 0}"]
                         for word in words])
        client.close()

    def workers(self):
        """apikey:workers: {name: when its lease ends at the latest, in seconds from now by Redis' clock}."""
        client = self.client()
        (seconds, micros), members = client.pipeline([["TIME"], ["ZRANGE", f"{self.prefix}workers", 0, -1, "WITHSCORES"]])
        client.close()
        now = int(seconds) + int(micros) / 1e6
        return {name: float(score) / 1000 - now for name, score in zip(members[::2], members[1::2])}

    def trust(self):
        """Says that every active key is here (apikeyd's epoch)."""
        self("SET", f"{self.prefix}epoch", f"{self.run_id()} {secrets.token_hex(16)}")

    def run_id(self):
        return [line for line in self("INFO", "server").splitlines() if line.startswith("run_id:")][0][7:]

    def epoch(self):
        return self("GET", f"{self.prefix}epoch")

    # --- life and death -----------------------------------------------------------------------------------

    def stop(self, number=signal.SIGTERM):
        if self._client:
            self._client.close()
            self._client = None
        self.process.stop(number)

    def kill(self):
        self.stop(signal.SIGKILL)

    def restart(self, kill=False):
        """Comes back on the same address, empty unless it saves."""
        self.stop(signal.SIGKILL if kill else signal.SIGTERM)
        self.start()

    @staticmethod
    def _entries(client, name):
        """The youngest of a stream, a few at a time: entries of usage are large, and alike."""
        last, left = "+", 500
        while left > 0 and (some := client("XREVRANGE", name, last, "-", "COUNT", 20)):
            yield from some
            last, left = f"({some[-1][0]}", left - len(some)

    def everything(self):
        """All keys and values as one text: to search it for what must not be there."""
        client, texts = self.client(), []
        readers = {"string": ("GET", ()), "hash": ("HGETALL", ()), "list": ("LRANGE", (0, -1)),
                   "set": ("SMEMBERS", ()), "zset": ("ZRANGE", (0, -1))}
        names = client("KEYS", "*")
        for name, kind in zip(names, client.pipeline([["TYPE", name] for name in names])):
            if kind in readers:
                verb, rest = readers[kind]
                texts += [name, repr(client(verb, name, *rest))]
            if kind == "stream":
                texts += [name, *(repr(entry) for entry in self._entries(client, name))]
        client.close()
        return "\n".join(texts)
