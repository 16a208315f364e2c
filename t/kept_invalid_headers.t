#!/usr/bin/python3
# With ignore_invalid_headers off nginx keeps X_User_Id where api_key_params cannot remove it: warned of at nginx -t.
# Hazards: V10

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    include %API_KEY_PARAMS%;
    %HTTP_LEVEL%
    server {
        listen 127.0.0.1:%PORT%;
        %SERVER_LEVEL%
        location / { api_key "%REALM%"; proxy_pass http://%UPSTREAM%; }
        location /a/ { api_key "%REALM%"; proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen 127.0.0.1:%PORT_B%;
        %SERVER_LEVEL%
        location / { api_key "%REALM%"; proxy_pass http://%UPSTREAM%; }
    }
}
"""

WARNING = r'\[warn\].*"ignore_invalid_headers off".*write "underscores_in_headers on;" beside it'
OFF, ON = "ignore_invalid_headers off;", "underscores_in_headers on;"

with Test() as t:
    alice = t.key(user="alice")
    redis, upstream = t.redis(keys=[alice]), t.upstream()

    def check(name, count, http_level="", server_level="", realm='test'):
        status, output = t.nginx_check(CONF, redis=redis, upstream=upstream, http_level=http_level, realm=realm,
                                       server_level=server_level)
        t.is_(status, 0, f"{name}: the configuration is good")
        t.is_(sum('"ignore_invalid_headers off"' in line for line in output.splitlines()), count,
              f"{name}: {count} warnings", output)
        return output

    t.like(check("off in http", 1, OFF), WARNING, "it says what to write")
    t.like(check("off in two servers", 1, "", OFF), WARNING, "once")
    check("the defaults", 0)
    check("both in http", 0, OFF + ON)
    check("both in servers", 0, "", OFF + ON)
    check("off in http, underscores in servers", 0, OFF, ON)
    check("no key is asked for", 0, OFF, realm="off")

    forged = [("X_User_Id", "mallory"), ("x-user_id", "mallory"), ("X_Api_Key-Id", "1"), ("x_api_key_scopes", "*")]
    nginx = t.nginx(CONF, redis=redis, upstream=upstream, http_level=OFF + ON, server_level="", realm="test")
    r = nginx.get("/", alice, forged)
    t.is_([r.saw(name) for name, _ in forged] + [r.saw("X-User-Id")], [[], [], [], [], ["alice"]],
          "what it says to write removes them")
    nginx = t.nginx(CONF, redis=redis, upstream=upstream, http_level=OFF, server_level="", realm="test")
    r = nginx.get("/", alice, forged)
    t.is_([r.saw(name) for name, _ in forged] + [r.saw("X-User-Id")], [["mallory"], ["mallory"], ["1"], ["*"], ["alice"]],
          "what it warns of is so (if nginx ever learns better, the warning can go)")
