#!/usr/bin/python3
# Model, tokens and cost as the upstream's headers name them: exact sums, whole units of 10^-12; what is no number counts as none and
# is told by the metrics; a sum that would pass 2^63 - 1 stays there.
# Hazards: D5, D13

from lib.apikeytest import Test
from lib.apikeytest import usage

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:64m;
    api_key_redis %REDIS%;
    api_key "test";
    api_key_usage_model $upstream_http_x_model;
    server {
        listen 127.0.0.1:%PORT%;
        location /both  { api_key_usage_tokens $upstream_http_x_in $upstream_http_x_out; api_key_usage_cost $upstream_http_x_cost;
                          proxy_pass http://127.0.0.1:%PORT_U%; }
        location /one   { api_key_usage_tokens $upstream_http_x_in; proxy_pass http://127.0.0.1:%PORT_U%; }
        location /fixed { api_key_usage_model gpt; api_key_usage_tokens 3 4; api_key_usage_cost 0.25; proxy_pass http://127.0.0.1:%PORT_U%; }
        location = /metrics { api_key off; api_key_usage_model ""; api_key_metrics; }
    }
    server {
        listen 127.0.0.1:%PORT_U%;
        access_log off;
        location / { add_header X-Model $http_x_model; add_header X-In $http_x_in; add_header X-Out $http_x_out; add_header X-Cost $http_x_cost;
                     return 200; }
    }
}
"""
MOST = 2 ** 63 - 1
# header X-In, the tokens, whether it is bad
TOKENS = [
    ("0", 0, False), ("7", 7, False), ("007", 7, False), (" 8\t", 8, False), (str(MOST), MOST, False), ("", 0, False),
    (str(MOST + 1), 0, True), ("9" * 30, 0, True), ("-1", 0, True), ("+1", 0, True), ("1.5", 0, True), ("1e3", 0, True), ("0x10", 0, True),
    ("1 2", 0, True), ("many", 0, True), ("1,000", 0, True), ("\xff", 0, True),
]
# header X-Cost, the cost, whether it is bad
COSTS = [
    ("0", "0", False), ("0.1", "0.1", False), ("1.25e-3", "0.00125", False), ("2E2", "200", False), (".5", "0.5", False), ("1.", "1", False),
    ("0.000000000001", "0.000000000001", False), ("5e-13", "0.000000000001", False), ("4.999e-13", "0", False),
    ("0.0000000000015", "0.000000000002", False), ("9223372.036854775807", "9223372.036854775807", False), (" 3 ", "3", False), ("", None, False),
    ("9223372.036854775808", None, True), ("1e30", None, True), ("-0.1", None, True), ("NaN", None, True), ("inf", None, True),
    ("1,5", None, True), ("$2", None, True), ("1e", None, True), (".", None, True),
]


def ask(path, model="", tokens_in="", tokens_out="", cost=""):
    headers = {"X-Model": model, "X-In": tokens_in, "X-Out": tokens_out, "X-Cost": cost}
    if nginx.get(path, alice, {name: value for name, value in headers.items() if value}).status != 200:
        t.ok(False, f"{path} {headers}")


def found(model):
    row, = usage.rows(redis, model=model)
    return row


with Test() as t:
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice])
    nginx = t.nginx(CONF, redis=redis)

    for n, (text, _, _) in enumerate(TOKENS):
        ask("/both", f"in {n}", tokens_in=text)
        ask("/both", f"out {n}", tokens_out=text)
    for n, (text, _, _) in enumerate(COSTS):
        ask("/both", f"cost {n}", cost=text)
    ask("/one", "one", tokens_in="12", tokens_out="13", cost="14")
    ask("/fixed", "another")
    for cost in ("0.1", "0.2", "0.3"):
        ask("/both", "sum", cost=cost, tokens_in="1", tokens_out="2")
    ask("/both", "sum", tokens_in="5")             # no cost: apart, for apikeyd prices it
    ask("/both", "", tokens_in="99")
    for _ in range(3):
        ask("/both", "most", tokens_in=str(MOST - 1), tokens_out="1", cost="9223372")

    total = 2 * len(TOKENS) + len(COSTS) + 10
    t.is_(usage.wait_counted(redis, total), total, "all are counted")
    for n, (text, tokens, _) in enumerate(TOKENS):
        t.is_((found(f"in {n}").tokens_in, found(f"in {n}").tokens_out), (tokens, 0), f"tokens {text!r}")
        t.is_((found(f"out {n}").tokens_in, found(f"out {n}").tokens_out), (0, tokens), f"of the completion {text!r}")
    for n, (text, cost, _) in enumerate(COSTS):
        t.is_(found(f"cost {n}").cost, cost, f"cost {text!r}")
    t.is_(found("one")[6:], (1, 12, 0, 0, None), "one token value: in")
    t.is_(found("gpt")[6:], (1, 3, 4, 0, "0.25"), "values without variables")
    t.is_(sorted((row.requests, row.tokens_in, row.tokens_out, row.cost) for row in usage.rows(redis, model="sum")),
          [(1, 5, 0, None), (3, 3, 6, "0.6")], "a sum of costs is exact; requests without a cost are apart")
    t.is_(found("")[6:8], (1, 99), "no model")

    metrics = nginx.metrics()
    bad = 2 * sum(is_bad for _, _, is_bad in TOKENS) + sum(is_bad for _, _, is_bad in COSTS)
    t.is_(metrics["usage_bad_values_total"], bad, "the metrics tell of what is no number")
    most = usage.rows(redis, model="most")
    t.is_(sum(row.requests for row in most), 3, "requests with great numbers")
    if len(most) == 1:                             # not sealed in between
        t.is_((most[0].tokens_in, most[0].tokens_out, most[0].cost), (MOST, 3, "9223372.036854775807"), "stay at the greatest number there is")
        t.is_(metrics["usage_saturated_total"], 2, "which the metrics tell")
