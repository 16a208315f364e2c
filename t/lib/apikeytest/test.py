"""The test environment: a folder, what runs in it, and its end."""

import os
import shutil
import signal
import tempfile
import traceback

from . import invariants
from .apikeyd import Apikeyd
from .dns import Dns
from .fake_worker import FakeWorker
from .keys import Key, make_key_text
from .nginx import Nginx
from .postgres import Postgres
from .redis_proxy import RedisProxy
from .redis_server import Redis
from .small_disk import small_disk
from .tap import Tap
from .tls import Authority
from .upstream import Upstream


class Interrupted(Exception):
    pass


class Test(Tap):
    """with Test() as t: …   At its end everything is stopped and the invariants are checked."""

    def __init__(self, limit=120):
        """`limit`: seconds after which the test is given up."""
        super().__init__()
        self.limit = limit
        self.folder = tempfile.mkdtemp(prefix="apikey-")
        os.chmod(self.folder, 0o755)       # nginx's workers and PostgreSQL run as other users
        self.secrets = set()
        self.allowed = []
        self.stores = {}                   # for the invariants: what Redis and Postgres held at the end
        self.nginxes, self.redises, self.proxies, self.postgreses, self.apikeyds, self.upstreams = ([] for _ in "123456")
        self.workers, self.disks = [], []
        self.unexpected_ends = []
        self._folders = 0

    # --- parts ----------------------------------------------------------------------------------------------

    def nginx(self, config, **options):
        """nginx with this configuration; see Nginx."""
        self.nginxes.append(Nginx(self.new_folder("nginx"), config, **options))
        return self.nginxes[-1]

    def nginx_check(self, config, **options):
        """nginx -t with this configuration: (exit status, everything it printed)."""
        return Nginx(self.new_folder("nginx-check"), config, start=False, **options).check_config()

    def redis(self, keys=None, **options):
        """A Redis; with `keys` (a list) it knows them and is trusted, as after a pass of apikeyd. tls=True: with a
        certificate for localhost and 127.0.0.1; see Redis."""
        if options.get("tls") is True:
            options["tls"] = self.authority().certificate("localhost", "127.0.0.1")
        redis = Redis(self.new_folder("redis"), **options)
        self.redises.append(redis)
        if keys is not None:
            redis.add(*keys)
            redis.trust()
        return redis

    def authority(self, **options):
        """A certificate authority; see Authority."""
        return Authority(self.new_folder("authority"), **options)

    def dns(self, **names):
        """A DNS server for nginx's `resolver`; see Dns."""
        return Dns(**names)

    def redis_proxy(self, redis, **options):
        """A proxy in front of it; see RedisProxy."""
        self.proxies.append(RedisProxy(self.new_folder("proxy"), redis, **options))
        return self.proxies[-1]

    def postgres(self, **options):
        """A PostgreSQL, migrated unless migrated=False."""
        self.postgreses.append(Postgres(self.new_folder("postgres"), **options))
        return self.postgreses[-1]

    def standby(self, primary):
        """A standby of it; see Postgres.make_standby."""
        self.postgreses.append(primary.make_standby(self.new_folder("standby")))
        return self.postgreses[-1]

    def apikeyd(self, postgres, redis, **options):
        """The sidecar; see Apikeyd."""
        self.apikeyds.append(Apikeyd(self.new_folder("apikeyd"), postgres, redis, **options))
        return self.apikeyds[-1]

    def upstream(self, **options):
        """The API behind nginx: echoes requests as JSON."""
        self.upstreams.append(Upstream(**options))
        return self.upstreams[-1]

    def worker(self, redis, **options):
        """What Redis and apikeyd take for a worker of nginx; see FakeWorker."""
        self.workers.append(FakeWorker(redis, **options))
        return self.workers[-1]

    def small_disk(self, size, owner):
        """A file system that can be filled, `.folder` of which is this user's; None where nothing may be mounted. See SmallDisk."""
        disk = small_disk(self.new_folder("disk"), size, owner)
        self.disks += [disk] if disk else []
        return disk

    def key(self, user="user-1", text=None, **facts):
        """A key of our make (or this text), not known to anybody yet, and never to be seen in a log."""
        return Key(self.secret(text or make_key_text()), user, **facts)

    def secret(self, text):
        """Registers a text that no log and no store may contain; returns it."""
        self.secrets.add(text)
        return text

    def new_folder(self, name):
        self._folders += 1
        path = f"{self.folder}/{self._folders}-{name}"
        os.mkdir(path)
        return path

    # --- invariants -----------------------------------------------------------------------------------------

    def allow_log(self, pattern):
        """The error log may have lines like this that are alert, emerg or crit."""
        self.allowed.append(pattern)

    def fds_return(self, nginx, baseline, timeout=3.0):
        invariants.check_fds_return(self, nginx, baseline, timeout)

    def logged_once(self, nginx, count):
        invariants.check_logged_once(self, nginx, count)

    # --- beginning and end ----------------------------------------------------------------------------------

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._interrupted)
        signal.signal(signal.SIGALRM, self._interrupted)
        signal.alarm(self.limit)
        return self

    def _interrupted(self, number, _frame):
        raise Interrupted(f"{signal.Signals(number).name}" +
                          (f": not done after {self.limit} s" if number == signal.SIGALRM else ""))

    def __exit__(self, kind, error, trace):
        passed = False
        try:
            if kind is SystemExit:         # bail_out, skip_all
                self._stop_all()
                return False
            if error is not None:
                self.ok(False, f"the test died: {kind.__name__}", str(error),
                        "".join(traceback.format_exception(kind, error, trace)), *self._tails_of_logs())
            passed = self._end(error)
        finally:                           # also when nobody reads our output any more
            self._kill_all()
            self._remove_folder()
        os._exit(0 if passed else self.failure_status())       # no waiting for threads of the upstream or the proxy

    def _end(self, error):
        """Stops everything and checks the invariants; True when all checks of the test passed."""
        signal.alarm(60)
        try:
            self._stop_all()
            invariants.check(self)
        except Exception:                  # pylint: disable=broad-except
            self.ok(False, "the end of the test died", traceback.format_exc())
        if self.planned is not None and error is None:
            made = self.count - 4
            self.ok(made == self.planned, f"{self.planned} checks planned", f"{made} made")
        return self.done()

    def _tails_of_logs(self):
        return [f"--- {path}\n" + "\n".join(invariants.read(path).splitlines()[-8:])
                for path in invariants.log_files(self) if path.endswith(("error.log", "apikeyd.log"))]

    def _processes(self):
        for part in self.nginxes + self.apikeyds + self.redises + self.postgreses:
            if part.process is not None:
                yield part.process

    def _stop_all(self):
        self.unexpected_ends = [(p, p.exit_status()) for p in self._processes()
                                if not p.expected_to_end and not p.alive()]
        for worker in self.workers:
            worker.die()
        for nginx in self.nginxes:
            nginx.stop()
        for apikeyd in self.apikeyds:
            if apikeyd.process:
                apikeyd.process.resume()
                apikeyd.stop()
        for proxy in self.proxies:
            proxy.stop()
        self._read_stores()
        for upstream in self.upstreams:
            upstream.stop()
        self._kill_all()

    def _read_stores(self):
        for store in self.redises + self.postgreses:
            if store.process.alive():
                store.process.resume()
                self.stores[type(store).__name__] = store.everything()

    def _kill_all(self):
        for process in self._processes():
            process.kill()

    def _remove_folder(self):
        if os.environ.get("KEEP"):
            self.diag(f"kept: {self.folder}")
        else:
            for disk in self.disks:
                disk.stop()
            shutil.rmtree(self.folder, ignore_errors=True)
