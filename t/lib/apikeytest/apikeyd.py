"""The sidecar under test, and its command line."""

import json
import os
import re
import signal
import subprocess

from . import places
from .process import Process, need, refuse_report, wait_for
from .resp import RedisError


class Apikeyd:
    def __init__(self, folder, postgres, redis, wait=True, **settings):
        """`settings`: more lines of the YAML file; a dotted name as "keys.prefix" is written keys__prefix.
        `wait`: until Redis is trusted and a full pass is over."""
        self.binary = need(str(places.BUILD / "apikeyd"), "apikeyd", places.MAKE_HINT)
        self.folder, self.postgres, self.redis = folder, postgres, redis
        self.config, self.log_path = f"{folder}/apikeyd.yaml", f"{folder}/apikeyd.log"
        self.socket_path = f"{folder}/apikeyd.sock"
        self.settings = {"postgres": str(postgres), "redis": str(redis), "listen": f"unix:{self.socket_path}",
                         "listen_mode": "0666",    # nginx' workers are other users where the test is root
                         "log.level": "info"}
        self.settings |= {name.replace("__", "."): value for name, value in settings.items()}
        self.process = None
        self.env = {}                      # more of its environment, from the next start() on
        self.write_config()
        if wait is not None:
            self.start(wait)

    def __str__(self):
        """What follows api_key_sidecar in nginx.conf."""
        return f"unix:{self.socket_path}"

    def write_config(self):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(yaml_of(self.settings))

    def start(self, wait=True):
        before = self._passes() if wait else None
        self.process = Process("apikeyd", [self.binary, "--config", self.config], self.log_path, env=self.env)
        if wait and not wait_for(lambda: not self.process.alive() or self._epoch() and self._passes() != before, 20):
            raise RuntimeError(f"apikeyd completed no pass:\n{self.log()[-3000:]}")
        if wait and not self.process.alive():
            raise RuntimeError(f"apikeyd does not start:\n{self.log()[-3000:]}")

    def _epoch(self):
        """The epoch when it is of the Redis that runs now, else None."""
        try:
            epoch, run_id = self.redis_server().epoch(), self.redis_server().run_id()
        except (OSError, RedisError):
            return None
        return epoch if epoch and epoch.startswith(run_id) else None

    def _passes(self):
        """Changes with every full pass: it sets another epoch, or says that there was nothing to repair."""
        return self._epoch(), len(re.findall("Redis (?:rebuilt|verified)", self.log()))

    def redis_server(self):
        """The server itself, also when apikeyd reaches it through a proxy."""
        return getattr(self.redis, "redis", self.redis)

    def stop(self, timeout=10.0):
        """True when it ended by itself within the time."""
        return self.process.stop(signal.SIGTERM, timeout)

    def kill(self):
        self.process.kill()

    def log(self):
        return self.process.output() if self.process else ""

    def ctl(self, *args, json=False, status=0):           # pylint: disable=redefined-outer-name
        """apikeyctl with this configuration; see apikeyctl()."""
        return apikeyctl("--config", self.config, *args, json=json, status=status)


def apikeyctl(*args, json=False, status=0):               # pylint: disable=redefined-outer-name
    """Its stdout (with json=True: the value that it printed). Another exit status than `status` is an error; with
    status=None: (exit status, stdout, stderr)."""
    argv = [need(str(places.BUILD / "apikeyctl"), "apikeyctl", places.MAKE_HINT), *map(str, args)]
    done = subprocess.run(argv + (["--json"] if json else []), capture_output=True, text=True, timeout=60,
                          check=False, env=os.environ | {"TERM": "dumb"})
    refuse_report(" ".join(argv), done.stderr)
    if status is None:
        return done.returncode, done.stdout, done.stderr
    if done.returncode != status:
        raise RuntimeError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return decode(done.stdout) if json else done.stdout


decode = json.loads


def yaml_of(settings):
    """Settings with dotted names as YAML; JSON scalars are YAML too."""
    lines, groups = [], {}
    for name, value in settings.items():
        group, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(group, []).append(f"  {rest}: {json.dumps(value)}")
        else:
            lines.append(f"{name}: {json.dumps(value)}")
    for group, members in groups.items():
        lines += [f"{group}:", *members]
    return "\n".join(lines) + "\n"
