#!/usr/bin/python3
# Where secret_file is set, whoever asks apikeyd without the secret is refused, and learns nothing; in whose name must be said properly.
# Hazards: V13

import re

from lib.apikeytest import Test
from lib.apikeytest.unix_http import Sidecar, base64url, request_bytes

SECRET, OTHER = "a secret of 32 bytes, or so!", "another secret"


def write_secret(text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text + "\n")


def raw(*fields, target="/export/usage"):
    with Sidecar(daemon).connect() as c:
        c.send(request_bytes("GET", target, headers=fields))
        return c.response()


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    path = f"{t.new_folder('secret')}/secret"
    write_secret(SECRET)
    daemon = t.apikeyd(pg, redis, secret_file=path)
    knows = Sidecar(daemon, secret=SECRET)
    t.is_(knows.get("/export/usage").status, 200, "with the secret")
    user, good = ("Apikey-User", base64url("alice")), ("Apikey-Secret", base64url(SECRET))
    for name, fields in (("none", []), ("another", [("Apikey-Secret", base64url("wrong"))]), ("an empty one", [("Apikey-Secret", "")]),
                         ("the secret as it is", [("Apikey-Secret", SECRET)]),
                         ("its beginning", [("Apikey-Secret", base64url(SECRET[:-1]))]),
                         ("more than it", [("Apikey-Secret", base64url(SECRET + "x"))])):
        answer = raw(user, *fields)
        t.is_((answer.status, answer.code), (401, "secret_refused"), f"{name}: refused")
        t.is_(raw(user, *fields, target="/no/such/thing").status, 401, f"{name}: not even what is there is told")
    t.is_(raw(user, good, good).status, 400, "two of them are too many")
    refusals = re.findall(r"without the secret of secret_file was refused", daemon.log())
    t.is_(len(refusals), 1, "a line in the log, not one for each")

    write_secret(OTHER)
    t.is_(Sidecar(daemon, secret=OTHER).get("/export/usage").status, 200, "the file has changed: its new secret is good")
    t.is_(knows.get("/export/usage").status, 401, "the old one is not")
    write_secret(SECRET)
    t.is_(knows.get("/export/usage").status, 200, "and back")

    for name, value in (("none", None), ("empty", ""), ("no base64url", "a+b"), ("a control byte", base64url("a\nb")),
                        ("a NUL", base64url("a\0")), ("no UTF-8", base64url(b"\xff"))):
        answer = raw(good, *([("Apikey-User", value)] if value is not None else []))
        t.is_((answer.status, answer.code), (400, "bad_request"), f"a user that is {name}")
    t.is_(raw(good, user, user).status, 400, "two users")
    t.is_(raw(good, ("Apikey-User", base64url("Zoë 用户"))).status, 200, "any other text is a user")
    t.unlike(daemon.log(), re.escape(SECRET) + "|" + re.escape(OTHER), "no secret in the log")
