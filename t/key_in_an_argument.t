#!/usr/bin/python3
# api_key_source arg:NAME takes the key from the query, percent-decoded; given twice or empty, it is malformed.

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key        "test";
        api_key_source arg:key;
        include        %API_KEY_PARAMS%;
        location / { proxy_pass http://%UPSTREAM%; }
        location /again/ { rewrite ^ /?key=overwritten! break; proxy_pass http://%UPSTREAM%; }
    }
}
"""

MISSING, MALFORMED, INVALID = "missing_api_key", "malformed_api_key", "invalid_api_key"


def encoded(text, form="%{:02X}"):
    return "".join(form.format(ord(c)) for c in text)


with Test() as t:
    alice, bob, stranger = t.key(user="alice"), t.key(user="bob"), t.key()
    odd = t.key(user="odd", text="odd+key/with~every.kind-of_byte==")
    key = alice.key
    redis_proxy = t.redis_proxy(t.redis(keys=[alice, bob, odd]))
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=t.upstream())

    def ask(query, path="/"):
        r = nginx.get(path + query)
        return r.saw("X-User-Id") if r.status == 200 else r.code if r.status == 401 else r

    for name, query in {
        "alone": f"?key={key}",
        "first": f"?key={key}&b=2",
        "last": f"?a=1&key={key}",
        "among others": f"?a=1&&b&=&key2=x&ke=y&key={key}&c=3",
        "all of it percent-encoded": "?key=" + encoded(key),
        "in lower-case hex": "?key=" + encoded(key, "%{:02x}"),
        "partly percent-encoded": f"?key={key[:5]}{encoded(key[5:9])}{key[9:]}",
        "with white space around it": f"?key=%20%09{key}%09%20",
        "a question mark before it": f"?a=?&key={key}",
    }.items():
        t.is_(ask(query), ["alice"], name)
    t.is_(ask("?key=" + odd.key), ["odd"], "'+', '/' and '=' as they are")
    t.is_(ask("?key=" + odd.key.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D")), ["odd"], "or encoded")
    t.is_(ask("?key=" + odd.key.replace("+", "%20")), MALFORMED, "a space is no plus")
    t.is_(ask("?key=" + stranger.key), INVALID, "an unknown key")

    redis_proxy.forget()
    for name, query in {
        "the same twice": f"?key={key}&key={key}",
        "two keys": f"?key={key}&a=1&key={bob.key}",
        "a key and an empty one": f"?key={key}&key=",
        "a name alone and a key": f"?key&key={key}",
        "three": f"?key={key}&key={key}&key={key}",
        "empty": "?key=",
        "a name alone": "?key",
        "a percent sign at the end": f"?key={key}%",
        "a percent sign and one digit": f"?key={key}%4",
        "no hex digits": f"?key={key}%4g",
        "a NUL, encoded": f"?key={key}%00",
        "a NUL within, encoded": f"?key={key[:9]}%00{key[9:]}",
        "an LF, encoded": f"?key={key}%0a",
        "encoded twice": "?key=" + encoded(encoded(key[:4])) + key[4:],
        "an equals sign within": f"?key={key[:9]}={key[9:]}",
        "an ampersand within, encoded": f"?key={key[:9]}%26{key[9:]}",
        "a comma": f"?key={key},{key}",
        "a semicolon for the ampersand": f"?key={key};a=1",
    }.items():
        t.is_(ask(query), MALFORMED, name)
    for name, query in {
        "no query": "",
        "an empty query": "?",
        "another name": f"?a={key}",
        "a longer name": f"?xkey={key}&keyx={key}",
        "a shorter name": f"?ke={key}",
        "a name of another case": f"?KEY={key}&Key={key}",
        "an encoded name": f"?k%65y={key}",
        "a name behind a semicolon": f"?a=1;key={key}",
    }.items():
        t.is_(ask(query), MISSING, name)
    t.is_(redis_proxy.count("HMGET"), 0, "these were not looked up")
    r = nginx.get("/", alice)
    t.is_((r.status, r.code), (401, MISSING), "a good Authorization header does not count here")
    t.is_(ask(f"?key={key}", "/again/"), ["alice"], "a rewrite that names it does not change what the client sent")
    t.is_(ask("", "/again/"), MALFORMED, "where the client sent none, the argument is the rewrite's")
