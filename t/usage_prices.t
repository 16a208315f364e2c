#!/usr/bin/python3
# What a response did not say that it cost is priced by its model and tokens (usage.prices), and rows come into buckets of
# usage.bucket.
# Hazards: none of the list; DESIGN's usage.prices and usage.bucket

from lib.apikeytest import Test, wait_for
from lib.apikeytest import usage
from lib.apikeytest.usage import Slot, is_empty, row, ship

PRICES = {"gpt-4o-mini": {"input": "0.15", "output": "0.60"}, "it's \\ odd": {"input": "0.000001", "output": "0"},
          "dear": {"input": "999999999", "output": "999999999"}}

with Test() as t:
    pg, redis = t.postgres(), t.redis()
    slot, key = Slot(), usage.new_id()
    daemon = t.apikeyd(pg, redis, usage__prices=PRICES, usage__bucket="15m")

    def cost(user):
        return pg.value(f"SELECT trim_scale(sum(cost)) FROM usage_records WHERE user_id = '{user}'")

    big = 2**63 - 1
    ship(redis, slot.batch(
        row("priced", key, model="gpt-4o-mini", tokens=(1000, 500, 400)), row("named", key, model="gpt-4o-mini", tokens=(1000, 500, 0), cost="0.5"),
        row("free", key, model="gpt-4o-mini", tokens=(1000, 500, 0), cost="0"), row("unknown", key, model="gpt-5", tokens=(1000, 500, 0)),
        row("none", key, tokens=(1000, 500, 0)), row("odd", key, model="it's \\ odd", tokens=(3, 10, 0)),
        row("both", key, model="gpt-4o-mini", tokens=(1, 1, 0)), row("both", key, model="gpt-4o-mini", tokens=(0, 0, 0), cost="1"),
        row("rich", key, model="dear", tokens=(big, big, big))))
    t.ok(wait_for(lambda: is_empty(redis), 5), "applied")
    want = {"priced": "0.00045", "named": "0.5", "free": "0", "unknown": "0", "none": "0", "odd": "0.000000000003",
            "both": "1.00000075", "rich": str(2 * big * 999999999 // 10**6) + "." + str(2 * big * 999999999 % 10**6).zfill(6).rstrip("0")}
    t.is_({user: cost(user) for user in want}, want, "tokens have their price, exactly; cached ones that of the input")
    ship(redis, slot.batch(row("priced", key, model="gpt-4o-mini", tokens=(1000, 500, 400), minute="2026-11-28T02:14:00Z"),
                           row("priced", key, model="gpt-4o-mini", minute="2026-11-28T02:15:00Z")))
    t.ok(wait_for(lambda: is_empty(redis), 5), "applied")
    t.is_(pg.sql("SELECT bucket, requests, tokens_cached, trim_scale(cost) FROM usage_records WHERE user_id = 'priced' ORDER BY 1"),
          [["2026-11-28 02:00:00+00", "2", "800", "0.0009"], ["2026-11-28 02:15:00+00", "1", "0", "0"]], "in buckets of 15 minutes")
