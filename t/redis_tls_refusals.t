#!/usr/bin/python3
# A Redis that does not prove who it is gets no password and no question: requests are answered 503, and the log says what
# is wrong with it, in few lines. Nothing is left open, and no reload is needed once it is put right.
# Hazards: R25, R4

import socket
import ssl
import threading
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.tls import Authority

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% connect_timeout=300ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def use(place, ca):
    nginx.stop()
    open(nginx.error_log, "w", encoding="ascii").close()
    nginx.write_config(redis=f"{place} ca_file={ca}")
    nginx.start()


def is_refused(place, ca, reason, what):
    use(place, ca)
    t.ok(nginx.wait_log(f"\\[error\\].*cannot be used: .*{reason}"), f"{what}: the log says so", nginx.log()[-600:])
    begun = time.monotonic()
    t.is_(nginx.get("/", alice).status, 503, "unavailable")
    t.ok(time.monotonic() - begun < 1, "which is said soon")
    t.ok(nginx.log().count("[error]") <= 2, "in few lines", nginx.log()[-600:])


def half_a_handshake(hello):
    """The first half of what a TLS server answers to this."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(hello)
    try:
        good.server_context().wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        pass
    answer = outgoing.read()
    return answer[:len(answer) // 2]


class Stalling:
    """Accepts, says what `answer` makes of the first bytes that came, and then nothing."""
    def __init__(self, answer):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.place = f"rediss://localhost:{self.socket.getsockname()[1]}"
        self.visitors = []
        threading.Thread(target=self.serve, args=(answer,), daemon=True).start()

    def serve(self, answer):
        while True:
            self.visitors.append(self.socket.accept()[0])
            self.visitors[-1].sendall(answer(self.visitors[-1].recv(4096)))


with Test() as t:
    alice = t.key(user="alice")
    password = t.secret("the-password-of-redis")
    ours, other = Authority(t.new_folder("ours")), Authority(t.new_folder("other"), name="another authority")
    good = ours.certificate("localhost", "127.0.0.1")
    redis = t.redis(keys=[alice], password=password, tls=good)
    at = f"rediss://:{password}@{{}}:{redis.port}/0"
    nginx = t.nginx(CONF, redis=f"{at.format('localhost')} ca_file={ours.file}")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "the right one: served")
    base = nginx.fds()

    not_proven = "its certificate does not prove that it is {} \\({}\\)"
    is_refused(at.format("localhost"), other.file, not_proven.format("localhost", "unable to get local issuer certificate"),
               "signed by another authority")

    def shows(certificate):
        """From now on Redis shows this one."""
        redis("CONFIG", "SET", "tls-cert-file", certificate.crt, "tls-key-file", certificate.key)

    for certificate, host, reason, what in (
            (ours.certificate("localhost", days=-1), "localhost", "certificate has expired", "expired"),
            (ours.certificate("redis.example.com"), "localhost", "hostname mismatch", "of another name"),
            (ours.certificate("*.localhost"), "localhost", "hostname mismatch", "of names below it"),
            (ours.certificate(), "127.0.0.1", "IP address mismatch", "of no address")):
        shows(certificate)
        is_refused(at.format(host), ours.file, not_proven.format(host, reason), what)
    shows(good)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "it shows the right one: served, without a reload")
    t.ok(nginx.wait_log("is in use again"), "as the log says")
    t.fds_return(nginx, base)

    # Who does not prove himself hears nothing: no password, no digest of a key.
    stranger = t.redis_proxy(t.redis(keys=[alice]), tls=other.certificate("localhost"))
    use(f"rediss://:{password}@localhost:{stranger.port}", ours.file)
    t.ok(wait_for(lambda: stranger.connections >= 3), "a stranger is tried again and again")
    t.is_(nginx.get("/", alice).status, 503, "unavailable")
    t.is_(stranger.commands, [], "and hears not a word")

    # Whoever speaks no TLS there, or nothing at all.
    late = "no TLS handshake within connect_timeout; does it speak TLS on this port"
    for answer, reason, what in ((lambda hello: b"-ERR unknown command\r\n", "wrong version number.*speak TLS on this port",
                                  "a server without TLS"),
                                 (lambda hello: b"", late, "one that says nothing"),
                                 (half_a_handshake, late, "one that stops half-way")):
        stalling = Stalling(answer)
        is_refused(stalling.place, ours.file, reason, what)
        t.ok(wait_for(lambda s=stalling: len(s.visitors) >= 3), "it is tried again")
        t.ok(nginx.fds() <= base + 1, "while no file is left open", f"{nginx.fds()}, was {base}")
    plain = t.redis(keys=[alice], port=True)
    is_refused(f"rediss://localhost:{plain.port}", ours.file, "TLS", "a Redis without TLS")
    nginx.stop()
    nginx.write_config(redis=f"redis://127.0.0.1:{redis.port}")
    nginx.start()
    t.is_(nginx.get("/", alice).status, 503, "the other way round, without TLS to a TLS port: unavailable")
    t.ok(nginx.wait_log("cannot be used"), "and logged")
