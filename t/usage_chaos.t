#!/usr/bin/python3
# Usage is exact whatever is killed, restarted or cut off at any moment, all by a seed: what clients were answered completely is
# in Postgres once, what was cut off at most once. `make chaos` does it for longer.
# Hazards: U1, U3, U4, U5, S1, S7, G3

import os
import secrets

from lib.apikeytest import Test, chaos

SECONDS = int(os.environ.get("CHAOS_SECONDS") or 5)

with Test(limit=120 + 3 * SECONDS) as t:
    chaos.run(t, SECONDS, os.environ.get("SEED") or secrets.token_hex(4))
