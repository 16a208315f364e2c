#!/usr/bin/python3
# Of several places in api_key_source the first that is present decides, whatever the later ones hold.

import itertools

from lib.apikeytest import Test

PLACES = {"bearer": "bearer", "header": "header:X-Key", "argument": "arg:key", "cookie": "cookie:key"}
ORDERS = list(itertools.permutations(PLACES))
LOCATIONS = "\n".join(f'location /{"-".join(order)}/ {{ api_key_source {" ".join(PLACES[p] for p in order)};'
                      ' proxy_pass http://%UPSTREAM%; }' for order in ORDERS)

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    keepalive_requests 10000;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        include %API_KEY_PARAMS%;
        %LOCATIONS%
        location /server/ {
            api_key_source header:X-Key;
            location /server/inherits/ { proxy_pass http://%UPSTREAM%; }
            location /server/replaces/ { api_key_source bearer; proxy_pass http://%UPSTREAM%; }
        }
    }
}
"""

with Test() as t:
    owners = {place: t.key(user=place) for place in PLACES}
    redis_proxy = t.redis_proxy(t.redis(keys=owners.values()))
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=t.upstream(), locations=LOCATIONS)
    client = nginx.connect()

    def ask(path, values, headers=()):
        """A request with these values in these places: whose it is, or what is wrong with it."""
        headers = list(headers)
        if "bearer" in values:
            headers.append(("Authorization", f"Bearer {values['bearer']}"))
        if "header" in values:
            headers.append(("X-Key", values["header"]))
        if "cookie" in values:
            headers.append(("Cookie", f"key={values['cookie']}"))
        query = f"?key={values['argument']}" if "argument" in values else ""
        r = client.request("GET", path + query, headers=headers)
        return r.saw("X-User-Id")[0] if r.status == 200 else r.code

    wrong = []
    for order in ORDERS:
        path = f"/{'-'.join(order)}/"
        for count in range(len(order) + 1):
            for there in itertools.combinations(order, count):
                good = {place: owners[place].key for place in there}
                first = next((place for place in order if place in there), None)
                results = {"all good": (ask(path, good), first or "missing_api_key")}
                if first:
                    bad_first = good | {first: "a,b"}
                    only_first = {place: "a,b" for place in there} | {first: good[first]}
                    results |= {"the first malformed": (ask(path, bad_first), "malformed_api_key"),
                                "the first empty": (ask(path, good | {first: ""}), "malformed_api_key"),
                                "the others malformed": (ask(path, only_first), first)}
                wrong += [f"{path} with {there}, {name}: {got} instead of {want}"
                          for name, (got, want) in results.items() if got != want]
    t.ok(not wrong, f"{len(ORDERS)} orders, every set of places", *wrong[:20])

    everywhere = {place: key.key for place, key in owners.items()}
    without_bearer = {place: key for place, key in everywhere.items() if place != "bearer"}
    path = "/bearer-header-argument-cookie/"
    for name, value in (("Basic", "Basic YTpi"), ("Digest", "Digest a=b"), ("an empty value", ""), ("Token", "Token x")):
        t.is_(ask(path, without_bearer, [("Authorization", value)]), "header",
              f"{name} is no bearer: the next place decides")
    t.is_(ask(path, without_bearer, [("Authorization", "Bearer")]), "malformed_api_key", "Bearer alone is one, a bad one")
    redis_proxy.forget()
    t.is_(ask(path, everywhere | {"bearer": t.key().key}), "invalid_api_key", "an unknown key is not tried elsewhere")
    t.is_(redis_proxy.count("HMGET"), 1, "one lookup")

    t.is_(ask("/server/inherits/", everywhere), "header", "the places are inherited")
    t.is_(ask("/server/replaces/", everywhere), "bearer", "and replaced, not added to")
    t.is_(ask("/server/replaces/", {"header": everywhere["header"]}), "missing_api_key", "the outer ones are gone then")
    client.close()
