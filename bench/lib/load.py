"""Load from wrk, and what it costs: CPU time of the processes, answers."""

import collections
import dataclasses
import glob
import re
import signal
import socket
import subprocess

from apikeytest.http1 import Connection

from . import BENCH

WRK = "/usr/bin/wrk"
CONNECTIONS = 64

Load = collections.namedtuple("Load", "requests seconds refused errors")


def wrk_command(port, mode, keys_file, seed, seconds, connections=CONNECTIONS, pause=0):
    """`mode`, `seed`, `pause`: see lua/load.lua."""
    return ["setpriv", "--pdeathsig", "KILL", WRK, "-t1", f"-c{connections}", f"-d{seconds}", "-s",
            f"{BENCH}/lua/load.lua", f"http://127.0.0.1:{port}/", "--", mode, keys_file, str(seed), str(pause)]


def send(port, mode, keys_file, seconds, seed=0):
    """wrk's load for so many whole seconds, over kept connections."""
    argv = wrk_command(port, mode, keys_file, seed, seconds)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60, check=False)
    return read_result(done.stdout, done.stderr)


def read_result(output, complaints):
    found = re.search(r"^result (\d+) (\d+) (\d+) (\d+)$", output, re.M)
    if not found:
        raise RuntimeError(f"wrk gave no result:\n{output}\n{complaints}")
    requests, microseconds, refused, errors = map(int, found.groups())
    return Load(requests, microseconds / 1e6, refused, errors)


class Background:
    """with Background(port, keys_file) as load: …   Keys at random for as long as it takes; then load.rate, requests/s."""

    def __init__(self, port, keys_file, connections, pause):
        self.argv = wrk_command(port, "at_random", keys_file, 0, 24 * 3600, connections, pause)

    def __enter__(self):
        self._wrk = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind, *_):
        self._wrk.send_signal(signal.SIGINT)       # wrk ends with its result then
        result = read_result(*self._wrk.communicate(timeout=30))
        self.rate = result.requests / result.seconds
        if kind is None and (result.errors or result.refused):
            raise RuntimeError(f"of the load {result.refused} requests were refused, {result.errors} failed")


def send_each(port, keys_file, count):
    """Sends the first `count` keys of the file at least once: what can be cached is cached then."""
    sent = 0
    while sent < count:
        sent += send(port, "in_turn", keys_file, 1, seed=sent).requests


@dataclasses.dataclass
class Sample:
    """One run: requests/s, microseconds of CPU (of the worker and its helpers; of the helpers; of Redis) and lookups in Redis per
    request, the shares of the time that the worker was busy and that it waited because others had its core, and what wrk counted."""
    rate: float
    cpu: float
    helpers_cpu: float
    redis_cpu: float
    lookups: float
    busy: float
    waited: float
    load: Load


def measure(server, redis, mode, keys_file, seconds, seed):
    """Runs a load against `server` (an Nginx or the like) and the Redis that nobody else uses meanwhile."""
    before = readings(server, redis)
    load = send(server.port, mode, keys_file, seconds, seed)
    if load.errors or not load.requests:
        raise RuntimeError(f"wrk counted {load.errors} errors in {load.requests} requests; {server.process.output()}")
    cpu, waited, helpers_cpu, redis_cpu, asked = (new - old for new, old in zip(readings(server, redis), before))
    return Sample(load.requests / load.seconds, (cpu + helpers_cpu) * 1e6 / load.requests, helpers_cpu * 1e6 / load.requests,
                  redis_cpu * 1e6 / load.requests, asked / load.requests, cpu / load.seconds, waited / load.seconds, load)


def readings(server, redis):
    return (*cpu_time(server.workers()), cpu_of_all_threads(helpers(server)), cpu_time([redis.process.pid])[0],
            lookups(redis))


def helpers(server):
    """The processes that it asks about each request, besides Redis; of most there is none."""
    return getattr(server, "helpers", [])


def lookups(redis):
    """How many HMGET this Redis has answered."""
    found = re.search(r"^cmdstat_hmget:calls=(\d+)", redis("INFO", "commandstats"), re.M)
    return int(found[1]) if found else 0


def metric(server, name):
    """The value of a metric of the product that has no labels."""
    with Connection(server.port, timeout=10) as connection:
        page = connection.request(path="/metrics").text
    return int(re.search(rf"^{name} (\d+)$", page, re.M)[1])


def cpu_time(pids):
    """Seconds that the main threads of these processes have run, and have waited for a core; the kernel counts nanoseconds."""
    ran = waited = 0
    for pid in pids:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            times = file.read().split()
        ran, waited = ran + int(times[0]), waited + int(times[1])
    return ran / 1e9, waited / 1e9


def cpu_of_all_threads(pids):
    """The same of all their threads: Node collects its garbage in threads of their own."""
    tasks = [task for pid in pids for task in glob.glob(f"/proc/{pid}/task/*")]
    return cpu_time(task.removeprefix("/proc/") for task in tasks)[0]


def private_memory(pids):
    """Bytes of memory that these processes share with nobody."""
    return sum(memory_status(pid, "RssAnon") for pid in pids)


def peak_memory(pid):
    """Bytes that this process has had at most."""
    return memory_status(pid, "VmHWM")


def memory_status(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.M)[1]) * 1024


def count_accepted(port, keys):
    """How many of these keys are answered with 200, each sent once, on one connection."""
    accepted = 0
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for first in range(0, len(keys), 64):
            chunk = keys[first:first + 64]
            connection.sendall(b"".join(request(key) for key in chunk))
            answered, rest = 0, b""
            while answered < len(chunk):
                data = connection.recv(1 << 18)
                if not data:
                    raise ConnectionError("the connection was closed between two answers")
                statuses, rest = split_statuses(rest + data)
                answered += len(statuses)
                accepted += statuses.count(b"200")
    return accepted


def request(key):
    return f"GET / HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key.key}\r\n\r\n".encode()


def split_statuses(data):
    """The statuses of all status lines in it, and the end of it that may be a part of another."""
    found = list(re.finditer(rb"HTTP/1\.1 (\d\d\d)", data))
    return [match[1] for match in found], data[found[-1].end():][-11:] if found else data[-11:]


def answers(port):
    """True when somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
