"""HAProxy with a static file of hashes: no Redis, no revocation, but a limit for what a proxy can do."""

from apikeytest.ports import free_port
from apikeytest.process import Process, need, wait_for

from .load import answers

HAPROXY = "/usr/sbin/haproxy"

CONF = """
global
    nbthread 1
    maxconn 2048
defaults
    mode http
    timeout client 1h
    timeout connect 1s
    timeout server 1h
    timeout http-keep-alive 1h
frontend keys
    bind 127.0.0.1:{port}
    http-request set-var(txn.user) req.hdr(authorization),word(2,' '),sha2(256),hex,map_str({map})
    http-request return status 401 if !{{ var(txn.user) -m found }}
    http-request return status 200 content-type text/plain string "an answer as long as an empty gif is long.."
"""


class HaProxy:
    """One thread. Has what the loads here need of an nginx: .port, .workers(), .process."""

    def __init__(self, folder, keys):
        need(HAPROXY, "haproxy", "apt install haproxy")
        self.port = free_port()
        with open(f"{folder}/map", "w", encoding="ascii") as file:
            file.writelines(f"{key.hash.upper()} {key.user}\n" for key in keys)
        with open(f"{folder}/haproxy.cfg", "w", encoding="ascii") as file:
            file.write(CONF.format(port=self.port, map=f"{folder}/map"))
        self.process = Process("haproxy", [HAPROXY, "-db", "-f", f"{folder}/haproxy.cfg"], f"{folder}/log")
        if not wait_for(lambda: not self.process.alive() or answers(self.port), 10) or not self.process.alive():
            raise RuntimeError(f"HAProxy does not start:\n{self.process.output()[-2000:]}")

    def workers(self):
        return [self.process.pid]
