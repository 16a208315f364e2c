#!/usr/bin/python3
# apikeyd and nginx over TLS to the same Redis: keys made and revoked take effect. A Redis that does not prove who it is gets
# nothing written and no password; the log says why. A mistake in redis_ca_file ends at the start, with its line.
# Hazards: R25

import subprocess

from lib.apikeytest import Test, wait_for
from lib.apikeytest.tls import Authority

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% ca_file=%CA%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""

with Test() as t:
    ours, other = Authority(t.new_folder("ours")), Authority(t.new_folder("other"), name="another authority")
    postgres = t.postgres()
    redis = t.redis(tls=ours.certificate("localhost"))
    apikeyd = t.apikeyd(postgres, redis, redis_ca_file=ours.file)
    nginx = t.nginx(CONF, redis=redis, ca=ours.file)
    made = apikeyd.ctl("keys", "create", "--user", "alice", "--name", "laptop", json=True)
    t.secret(made["key"])
    t.ok(wait_for(lambda: nginx.get("/", made["key"]).status == 200), "a key that was made is served")
    apikeyd.ctl("keys", "revoke", made["id"])
    t.ok(wait_for(lambda: nginx.get("/", made["key"]).status == 401), "revoked, it is refused")
    redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    made = apikeyd.ctl("keys", "create", "--user", "bob", "--name", "phone", json=True)
    t.secret(made["key"])
    t.ok(wait_for(lambda: nginx.get("/", made["key"]).status == 200), "after its connections were killed, too")
    redis("FLUSHALL")
    t.ok(wait_for(lambda: nginx.get("/", made["key"]).status == 200), "and after a flush")
    apikeyd.stop()

    # Somebody else in the place of Redis.
    password = t.secret("the-password-of-redis")
    expired, elsewhere = ours.certificate("localhost", days=-1), ours.certificate("redis.example.com")
    for certificate, reason in ((other.certificate("localhost"), "unable to get local issuer certificate"),
                                (expired, "certificate has expired"), (elsewhere, "hostname mismatch")):
        stranger = t.redis_proxy(t.redis(), tls=certificate)
        place = f"rediss://:{password}@localhost:{stranger.port}/0"
        refused = t.apikeyd(postgres, place, wait=False, redis_ca_file=ours.file)
        t.ok(wait_for(lambda d=refused, r=reason: f"does not prove that it is localhost ({r})" in d.log()),
             f"{reason}: the log says so", refused.log()[-600:])
        t.is_(stranger.commands, [], "nothing was said to it")
        refused.stop()

    plain = t.redis(port=True)
    refused = t.apikeyd(postgres, f"rediss://localhost:{plain.port}", wait=False, redis_ca_file=ours.file)
    t.ok(wait_for(lambda: "TLS handshake" in refused.log()), "no TLS on that port: the log says so", refused.log()[-600:])
    refused.stop()
    t.is_(plain("DBSIZE"), 0, "and nothing was written")

    for setting, message in ({"redis_ca_file": "/nowhere/ca.pem"}, "No such file or directory"), \
                            ({"redis_ca_file": redis.tls.key}, "cannot be used"):
        wrong = t.apikeyd(postgres, redis, wait=None, **setting)
        said = subprocess.run([wrong.binary, "--config", wrong.config], capture_output=True, text=True, timeout=30,
                              check=False)
        t.is_(said.returncode, 1, "apikeyd does not start")
        t.like(said.stderr, rf"apikeyd.yaml:\d+: redis_ca_file: .*{message}", "and names the line")
