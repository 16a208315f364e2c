#!/usr/bin/python3
# 100,000 requests of 400 users while Redis' replies are delayed, cut, split, dropped, swapped, doubled and forged, clients
# leave at random, and keys are revoked, restored and given to others: none is served under another user's identity, or by
# what was no longer in force.
# Hazards: N1, N2, N4, P22, P23, R3, R13, R14, R15

import os

from lib.apikeytest import Test, oracle

REQUESTS = int(os.environ.get("REQUESTS", "100000"))

with Test(limit=120 + REQUESTS // 1000) as t:
    oracle.run(t, REQUESTS, os.environ.get("SEED"), http2=0.05)
