"""nginx with a configuration that the test writes out in full.

In the text, %NAME% is replaced:
  %GLOBALS%        what every nginx.conf here needs first: load_module, user, pid, error_log at our shipped level
  %HTTP%           temporary paths and the access log, as the first line of http { }; and where the configuration says
                   nothing of api_key_cache, that nothing is cached: most tests are about lookups
  %PORT%, %PORT_B% a free port, for any name that starts with PORT
  %API_KEY_PARAMS% our conf/api_key_params
  %DIR%            the folder of this nginx
and whatever the test passes by name: t.nginx(conf, redis=redis) gives %REDIS%.
"""

import json
import os
import re
import signal
import socket
import subprocess
import textwrap
import time

from . import places
from .http1 import Connection
from .http2 import Http2Connection
from .http3 import Http3Connection
from .ports import free_port
from .process import PATIENCE, Process, children_of, need, read, refuse_report, running, wait_for

GLOBALS = """daemon %DAEMON%;
pid        %DIR%/nginx.pid;
error_log  %DIR%/error.log %LOG_LEVEL%;
%USER%
%LOAD_MODULE%"""

HTTP = """log_format harness escape=json '{"status":$status,"method":"$request_method","uri":"$uri",%LOG_FIELDS%'
                             '"bytes":$bytes_sent,"time":$request_time}';
access_log %DIR%/access.log harness;
client_body_temp_path %DIR%/body_temp;
proxy_temp_path       %DIR%/proxy_temp;
fastcgi_temp_path     %DIR%/fastcgi_temp;
uwsgi_temp_path       %DIR%/uwsgi_temp;
scgi_temp_path        %DIR%/scgi_temp;"""

NO_CACHE = """
api_key_cache valid=0 invalid=0;"""

LOG_FIELDS = '"key_status":"$api_key_status","cache":"$api_key_cache","key_id":"$api_key_id","user":"$api_key_user",'


def with_http2_directive(text):
    """nginx 1.25.1 and newer: `listen … http2` became a directive, which serves HTTP/1 on these ports as well."""
    text, count = re.subn(r"(\blisten\s[^;]*?)\s+http2;", r"\1;", text)
    return re.sub(r"^(\s*)http \{$", r"\1http {\n\1    http2 on;", text, flags=re.M) if count else text


class Nginx:
    def __init__(self, folder, config, module=True, log_level="notice", start=True, detached=False, under=(), **values):
        """`module`: True for the product's, a path for another build of it, False for nginx alone. `detached`: as a
        daemon, which nginx must be to take USR2 and WINCH. `under`: the command line of what runs it, as valgrind does."""
        need(places.NGINX, "nginx", "apt install nginx, or set TEST_NGINX_BINARY")
        module = places.MODULE if module is True else module
        if module:
            need(module, "module", places.MAKE_HINT)
        self.folder, self.config, self.ports = folder, textwrap.dedent(config), {}
        self.error_log, self.access_log = f"{folder}/error.log", f"{folder}/access.log"
        self.values = {"DIR": folder, "DAEMON": "on" if detached else "off", "LOG_LEVEL": log_level,
                       "API_KEY_PARAMS": places.PARAMS, "GLOBALS": GLOBALS, "LOG_FIELDS": LOG_FIELDS if module else "",
                       "USER": "user www-data;" if os.geteuid() == 0 else "",
                       "LOAD_MODULE": f"{places.KEPT_ENV}load_module {module};" if module else ""}
        self.values |= {name.upper(): value for name, value in values.items()}
        self.signalled = set()             # workers that the test itself ended
        self.process, self.detached, self.under = None, detached, list(under)
        self.env = {}                      # more of its environment, from the next start() on
        self.write_config()
        if start:
            self.start()

    def write_config(self, config=None, **values):
        """Writes another configuration (or the same, with other values): for reload()."""
        if config is not None:
            self.config = textwrap.dedent(config)
        self.values |= {name.upper(): value for name, value in values.items()}
        cached = "api_key_cache" in self.config or not self.values["LOAD_MODULE"]
        self.values["HTTP"] = HTTP if cached else HTTP + NO_CACHE
        text = self.config
        while (more := re.sub(r"%([A-Z][A-Z0-9_]*)%", lambda found: self._value(found[1]), text)) != text:
            text = more
        with open(f"{self.folder}/nginx.conf", "w", encoding="utf-8") as file:
            file.write(with_http2_directive(text) if places.nginx_version() >= (1, 25, 1) else text)

    def _value(self, name):
        if name in self.values:
            return str(self.values[name])
        if name.startswith("PORT"):
            return str(self.ports.setdefault(name, free_port()))
        raise KeyError(f"nginx.conf names %{name}%, which the test did not give")

    # --- life and death -----------------------------------------------------------------------------------

    def _argv(self, *more):
        return [places.NGINX, "-c", f"{self.folder}/nginx.conf", "-p", self.folder, "-e", self.error_log, *more]

    def start(self):
        self.stale = read(f"{self.folder}/nginx.pid")          # of a master that was killed
        self.process = Process("nginx", self.under + self._argv(), f"{self.folder}/stderr.log", env=places.sanitizer_env() | self.env,
                               death_signal="TERM")
        self.process.expected_to_end = self.detached
        wait_for(lambda: not self._lives() or (self._pid_written() and self.workers()), timeout=60)
        if not self._lives():
            raise RuntimeError(f"nginx does not start:\n{self.process.output()}\n{self.log()[-3000:]}")
        self.session = self.master

    def _lives(self):
        """A daemon may be between the end of the process that was started and the file that says which it is now."""
        return self.process.alive() or (self.detached and self.process.exit_status() == 0 and
                                        (not self._pid_written() or running(self.master)))

    @property
    def master(self):
        """The pid of the master process."""
        return int(read(f"{self.folder}/nginx.pid") or 0) if self.detached else self.process.pid

    def _pid_written(self):
        written = read(f"{self.folder}/nginx.pid")
        return written.strip() == str(self.master) and not (self.detached and written == self.stale)

    def check_config(self, *more):
        """nginx -t (more: e.g. "-T" or "-q"): (exit status, everything it printed)."""
        done = subprocess.run(["env", *(f"{k}={v}" for k, v in places.sanitizer_env().items()),
                               *self._argv("-t", *more)], capture_output=True, text=True, timeout=30, check=False)
        refuse_report("nginx -t", done.stderr)
        return done.returncode, done.stderr + done.stdout

    def workers(self):
        if "master_process off" in self.config:
            return [self.process.pid]
        return [pid for pid in children_of(self.master) if running(pid)]

    def draining(self):
        """The workers that accept nobody any more, and end when their last request has."""
        return [pid for pid in self.workers() if "is shutting down" in read(f"/proc/{pid}/cmdline")]

    def reload(self, wait_old=True, timeout=10.0):
        """HUP; True when there are new workers (and, by default, the old ones are gone). Those may still accept; see draining()."""
        old = set(self.workers())
        self.process.send_signal(signal.SIGHUP)
        return bool(wait_for(lambda: (now := set(self.workers())) - old and not (wait_old and now & old), timeout))

    def quit(self, timeout=10.0):
        """Graceful stop: True when it was over within the time."""
        self.process.expected_to_end = True
        self.process.send_signal(signal.SIGQUIT)
        return self.process.wait(timeout)

    def stop(self):
        if self.detached:
            return self._end_session()
        self.process.resume()
        return self.quit(2.0) or self.process.stop(signal.SIGTERM, 20.0)

    def _end_session(self):
        """Every process of a daemon that is left, whoever is master now."""
        try:
            os.killpg(self.session, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def kill_worker(self, pid, number=signal.SIGKILL):
        self.signalled.add(pid)
        os.kill(pid, number)

    def fds(self):
        """How many files and sockets the workers hold in all, once that has been the same for 50 ms."""
        counts = []
        while len(counts) < 100 and (len(counts) < 6 or len(set(counts[-6:])) > 1):
            time.sleep(0.01)
            counts.append(sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.workers()))
        return counts[-1]

    # --- logs ---------------------------------------------------------------------------------------------

    def log(self):
        return read(self.error_log)

    def wait_log(self, pattern, timeout=PATIENCE):
        return wait_for(lambda: re.search(pattern, self.log()), timeout, 0.02)

    def requests(self):
        """The access log: one dict per request (status, method, uri, key_status, key_id, user, bytes, time)."""
        # nginx writes 000 for a request that got no answer and 009 for HTTP/0.9: no numbers to JSON.
        return [json.loads(re.sub(r'^{"status":0+(?=\d)', '{"status":', line))
                for line in read(self.access_log).splitlines()]

    def wait_requests(self, count, timeout=PATIENCE):
        """The access log when it has `count` lines, and 50 ms later: one too many shows as well."""
        wait_for(lambda: len(self.requests()) >= count, timeout, 0.02)
        time.sleep(0.05)
        return self.requests()

    def metrics(self, path="/metrics"):
        """What `location = /metrics { api_key_metrics; }` shows: {name and labels, without nginx_api_key_: value}."""
        samples = [line.rsplit(" ", 1) for line in self.get(path).text.splitlines() if not line.startswith("#")]
        return {name.removeprefix("nginx_api_key_"): float(value) for name, value in samples}

    def wait_watching(self, workers, timeout=PATIENCE):
        """Until so many workers hear of changes, and so use the key cache without asking; needs that location as well."""
        return wait_for(lambda: self.metrics()["watching_workers"] == workers, timeout)

    # --- talking to it --------------------------------------------------------------------------------------

    @property
    def port(self):
        return self.ports["PORT"]

    def connect(self, timeout=10.0, port=None):
        """An HTTP/1.1 connection."""
        return Connection(port or self.port, timeout)

    def connect_each(self, workers):
        """{pid: an HTTP/1.1 connection to that worker} for so many workers; needs `location = /pid { return 200 $pid; }`
        and `listen … reuseport`, which spreads new connections over them."""
        found = {}

        def have_all():
            connection = self.connect()
            pid = int(connection.request(path="/pid").text)
            if found.setdefault(pid, connection) is not connection:
                connection.close()
            return len(found) == workers

        if not wait_for(have_all, 20):
            raise RuntimeError(f"of {workers} workers only {list(found)} answer")
        return found

    def connect2(self, timeout=10.0, port=None):
        """An HTTP/2 connection, without TLS; needs `listen … http2`."""
        return Http2Connection(port or self.port, timeout)

    def connect3(self, timeout=10.0, port=None, session=None):
        """An HTTP/3 connection; needs `listen 127.0.0.1:%PORT_H3% quic` and a certificate. See Http3Connection."""
        return Http3Connection(port or self.ports["PORT_H3"], timeout, session)

    def get(self, path="/", key=None, headers=(), method="GET", body=b"", port=None):
        """One request on a connection of its own; `key`: a Key or the text of one, sent as Bearer."""
        with self.connect(port=port) as connection:
            return connection.request(method, path, key, headers, body)

    def refuses_connections(self, port=None):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port or self.port)) != 0
