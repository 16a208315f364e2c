#!/usr/bin/python3
# The identity oracle over HTTP/2 alone, with the key cache on: 30,000 requests, 40 streams at once per connection, some of
# them reset, with the same faults and the same changes of keys.
# Hazards: N2, N4, P23, R3, R13, R14, R15

import os

from lib.apikeytest import Test, oracle

REQUESTS = int(os.environ.get("REQUESTS", "30000"))

with Test(limit=120 + REQUESTS // 500) as t:
    oracle.run(t, REQUESTS, os.environ.get("SEED"), valid=1.0, http2=1)
