#!/usr/bin/python3
# `satisfy` any and all, with allow/deny, a key and auth_basic: status, challenges, document, identity and lookups of every
# combination.
# Hazards: N10, N11, N12

import base64
import itertools

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    include %API_KEY_PARAMS%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key         "test";
        api_key_source  header:X-Key;        # Authorization is for auth_basic here
        api_key_require s;
        auth_basic_user_file %DIR%/users;
        %LOCATIONS%
    }
}
"""

RULES = {"none": "", "allow": "allow 127.0.0.1; deny all;", "deny": "deny all;"}
BASICS = {"off": "", "on": 'auth_basic "basic";'}
LOCATIONS = "\n".join(
    f"location /{satisfy}/{rule}/{basic} {{ satisfy {satisfy}; {RULES[rule]} {BASICS[basic]} proxy_pass http://%UPSTREAM%; }}"
    for satisfy, rule, basic in itertools.product(("any", "all"), RULES, BASICS))

CHALLENGE = 'Bearer realm="test"'
# What we alone would answer: status, code, challenge, identity.
ALONE = {"no key": (401, "missing_api_key", CHALLENGE, None),
         "bad key": (401, "invalid_api_key", CHALLENGE + ', error="invalid_token"', None),
         "weak key": (403, "insufficient_scope", CHALLENGE + ', error="insufficient_scope", scope="s"', None),
         "unavailable": (503, "api_key_unavailable", None, None),
         "good key": (200, None, None, "alice")}
PASSWORDS = {"no password": None, "bad password": "joe:wrong", "good password": "joe:word"}


def expected(satisfy, rule, basic, key, password):
    """(status, code, challenges, identity, lookups), by nginx' rules: allow/deny first, then we, then auth_basic."""
    ours_status, code, challenge, user = ALONE[key]
    ours = (ours_status, [challenge] if challenge else [])
    steps = [({"none": None, "allow": 200, "deny": 403}[rule], []), ours]
    if basic == "on":
        steps.append((200, []) if password == "good password" else (401, ['Basic realm="basic"']))
    refusal, challenges, reached = None, [], 0
    for status, lines in steps:
        reached += 1
        if status is None:
            continue
        challenges = challenges + lines
        if status == 503 or (satisfy == "all" and status != 200):
            refusal = status
            break
        if satisfy == "any" and status == 200:
            refusal, challenges = None, []
            break
        if status != 200:
            refusal = 401 if 401 in (status, refusal) else status
    if refusal is None:
        passed_by_us = user if reached == 2 or satisfy == "all" else None
        return 200, None, [], [passed_by_us] if passed_by_us else [], lookups(key, reached)
    return refusal, code if refusal == ours_status and reached > 1 else None, challenges, [], lookups(key, reached)


def lookups(key, reached):
    return int(reached > 1 and key not in ("no key", "unavailable"))


def check(keys, redis_is):
    for satisfy, rule, basic, key, password in itertools.product(("any", "all"), RULES, BASICS, keys, PASSWORDS):
        if basic == "off" and password != "no password":
            continue
        headers = {"X-User-Id": "mallory"}
        if keys[key] is not None:
            headers["X-Key"] = keys[key].key
        if PASSWORDS[password]:
            headers["Authorization"] = "Basic " + base64.b64encode(PASSWORDS[password].encode()).decode()
        proxy.forget()
        r = client.request(path=f"/{satisfy}/{rule}/{basic}", headers=headers)
        got = (r.status, r.code, r.all("WWW-Authenticate"), r.saw("X-User-Id") if r.status == 200 else [],
               proxy.count("HMGET"))
        t.is_(got, expected(satisfy, rule, basic, key, password),
              f"satisfy {satisfy}, address {rule}, auth_basic {basic}: {key}, {password}{redis_is}")


with Test() as t:
    alice, weak, stranger = t.key(user="alice", scopes="s"), t.key(user="weak", scopes="r"), t.key(user="nobody")
    proxy = t.redis_proxy(t.redis(keys=[alice, weak]))
    nginx = t.nginx(CONF, locations=LOCATIONS, redis=proxy, upstream=t.upstream())
    with open(f"{nginx.folder}/users", "w", encoding="ascii") as file:
        file.write("joe:{PLAIN}word\n")
    with nginx.connect() as client:
        check({"no key": None, "bad key": stranger, "weak key": weak, "good key": alice}, "")
        proxy.refuse()
        proxy.close_all()
        nginx.wait_log("cannot be used")
        check({"no key": None, "unavailable": alice}, ", Redis away")
