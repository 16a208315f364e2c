#!/usr/bin/python3
# The identity oracle with the key cache on: 100,000 requests, most of them answered without Redis, while keys are revoked,
# restored and given to others under the same faults: no answer contradicts what was in force when its request began.
# Hazards: N2, N4, P22, P23, R3, R13, R14, C1, C15

import os

from lib.apikeytest import Test, oracle

REQUESTS = int(os.environ.get("REQUESTS", "100000"))

with Test(limit=120 + REQUESTS // 1000) as t:
    oracle.run(t, REQUESTS, os.environ.get("SEED"), valid=1.0, http2=0.05)
