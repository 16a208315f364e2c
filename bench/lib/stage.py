"""Where one row of the table is measured: a folder, the parts that run in it, and the two cores."""

import contextlib
import os
import random
import shutil
import tempfile

from apikeytest.apikeyd import Apikeyd
from apikeytest.keys import Key, make_key_text
from apikeytest.nginx import Nginx
from apikeytest.postgres import Postgres
from apikeytest.process import wait_for
from apikeytest.redis_server import Redis

from .auth_service import AuthService
from .haproxy import HaProxy

KNOWN, USED = 100_000, 10_000     # keys in Redis; those of them that clients send

_known_keys = []


def known_keys():
    """All keys, made once; the first USED of them are those that clients send."""
    if not _known_keys:
        rng = random.Random(os.urandom(16))
        _known_keys.extend(Key(make_key_text(rng=rng), user=f"user-{n}") for n in range(KNOWN))
    return _known_keys


class Stage(contextlib.ExitStack):
    """with Stage() as stage: …   Everything that was started in it ends with it. This process and what it starts run on
    load_cpu, until pin() puts a process elsewhere."""

    def __init__(self):
        super().__init__()
        self.cpus = sorted(os.sched_getaffinity(0))
        self.nginx_cpu, self.load_cpu = self.cpus[0], self.cpus[-1]

    def __enter__(self):
        super().__enter__()
        self.folder = tempfile.mkdtemp(prefix="apikey-bench-")
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)           # nginx's workers and PostgreSQL run as other users
        self.callback(os.sched_setaffinity, 0, self.cpus)
        os.sched_setaffinity(0, {self.load_cpu})
        return self

    def use_all_cpus(self):
        """For what this process and its children do from now on."""
        os.sched_setaffinity(0, self.cpus)

    def new_folder(self, name):
        return tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder)

    def redis(self, keys=None):
        """Redis; with `keys` it knows them and is trusted, as after a pass of apikeyd."""
        redis = Redis(self._open_folder("redis"))
        self.callback(lambda: redis.process.kill())
        if keys is not None:
            redis.add(*keys)
            redis.trust()
        return redis

    def nginx(self, conf, cpu=None, kind=Nginx, **values):
        """nginx with this configuration (see the harness); its workers run on `cpu` only."""
        nginx = kind(self._open_folder("nginx"), conf, **values)
        self.callback(lambda: nginx.process.kill())
        for pid in nginx.workers() if cpu is not None else []:
            os.sched_setaffinity(pid, {cpu})
        return nginx

    def postgres(self, **settings):
        """PostgreSQL with these lines in its postgresql.conf."""
        postgres = Postgres(self._open_folder("postgres"))
        self.callback(lambda: postgres.process.kill())
        for name, value in settings.items():
            postgres.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        postgres.restart()
        return postgres

    def apikeyd(self, postgres, redis):
        """apikeyd, once an empty Redis has all keys of Postgres."""
        apikeyd = Apikeyd(self._open_folder("apikeyd"), postgres, redis, wait=False)
        self.callback(lambda: apikeyd.process.kill())
        if not wait_for(redis.epoch, 120):
            raise RuntimeError(f"apikeyd completed no pass:\n{apikeyd.log()[-2000:]}")
        return apikeyd

    def haproxy(self, keys):
        """HAProxy that knows these keys, on the core for nginx."""
        haproxy = HaProxy(self._open_folder("haproxy"), keys)
        self.callback(lambda: haproxy.process.kill())
        os.sched_setaffinity(haproxy.process.pid, {self.nginx_cpu})
        return haproxy

    def auth_service(self, redis, valid, invalid, entries):
        """The service behind auth_request (see AuthService)."""
        service = AuthService(self._open_folder("service"), redis, valid, invalid, entries)
        self.callback(lambda: service.process.kill())
        return service

    def file_of_keys(self, keys):
        """A file with one key a line: for lua/load.lua."""
        path = f"{self.new_folder('keys')}/keys"
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"{key.key}\n" for key in keys)
        return path

    def _open_folder(self, name):
        path = self.new_folder(name)
        os.chmod(path, 0o755)
        return path
