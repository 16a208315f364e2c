#!/usr/bin/python3
# DNS that answers with an error, with no address or with no such name leaves Redis where it was; and DNS is asked nothing
# where the http block has no resolver, or where Redis has an address instead of a name.
# Hazards: R24

import re

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    %RESOLVER%
    api_key_zone  keys:1m;
    api_key_redis redis://%HOST%:%REDIS_PORT%/0;
    server {
        listen 127.0.0.1:%PORT%;
        %SERVER_RESOLVER%
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def is_served():
    return nginx.get("/", alice).status == 200


def restarted(what):
    """Redis dies, and comes back where it was."""
    redis.restart(kill=True)
    redis.add(alice)
    redis.trust()
    t.ok(wait_for(is_served), f"{what}: served after a restart", nginx.log()[-600:])


def use(host="localhost", resolver="", server_resolver=""):
    nginx.stop()
    open(nginx.error_log, "w", encoding="ascii").close()
    dns.queries.clear()
    nginx.write_config(host=host, resolver=resolver, server_resolver=server_resolver)
    nginx.start()
    t.ok(wait_for(is_served), "served")


with Test() as t:
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice], port=True)
    dns = t.dns()
    ask_it = f"resolver {dns} valid=1s;"
    nginx = t.nginx(CONF, host="localhost", resolver=ask_it, server_resolver="", redis_port=redis.port, upstream=t.upstream())
    t.ok(wait_for(is_served), "served")

    for what, cause in {"SERVFAIL": "2: Server failure", "NXDOMAIN": "3: Host not found", "REFUSED": "5: Operation refused",
                        "no address": "3: Host not found"}.items():
        dns["localhost"] = []
        dns.mode = what if what != "no address" else "answer"
        use(resolver=ask_it)
        restarted(what)
        asked = len(dns.queries)
        t.ok(asked, "DNS was asked")
        lines = re.findall(r"\[warn\] .*api_key: the resolver .*", nginx.log())
        t.ok(lines, "the log says that it has no answer", nginx.log()[-600:])
        t.like(lines[0], rf'the resolver has no answer for "localhost" \({cause[3:]}\); Redis is still looked for at 127', "and why")
        t.ok(len(lines) <= 4, "in few lines", *lines)

    dns.mode = "answer"
    dns["localhost"] = ["127.0.0.9"]
    use()
    restarted("no resolver")
    t.is_(dns.queries, [], "nobody is asked")
    use(server_resolver=ask_it)
    restarted("a resolver of a server")
    t.is_(dns.queries, [], "which is not asked about Redis, which is everybody's")
    use(host="127.0.0.1", resolver=ask_it)
    restarted("an address")
    t.is_(dns.queries, [], "nobody is asked what it is")
