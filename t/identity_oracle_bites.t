#!/usr/bin/python3
# The identity oracle notices wrong identities: it sees them in a build of the module that does not compare `hash`.
# Hazards: R14

from lib.apikeytest import Test, previous, swap_alike
from lib.apikeytest import oracle
from lib.apikeytest.places import BUILD

with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(100)]
    proxy = t.redis_proxy(t.redis(keys=keys))
    nginx = t.nginx(oracle.CONF, module=f"{BUILD}/tests/unchecked/ngx_http_api_key_module.so", redis=proxy,
                    timeout="100ms", cache="")
    proxy.at_random({swap_alike(): 0.02, previous(): 0.02}, seed="bites", command="HMGET")
    tally, _ = oracle.run_clients(nginx, keys, [], 2000, "bites", processes=2, seconds=40)
    t.ok(tally[oracle.WRONG_IDENTITY] > 10, "unchecked, requests are served under another's identity", dict(tally))
    t.ok(tally[oracle.RIGHT] > 0, "others under their own", dict(tally))
    t.note(dict(tally))
