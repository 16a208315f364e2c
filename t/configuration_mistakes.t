#!/usr/bin/python3
# Every mistake in our directives ends at `nginx -t`, with its line and with what to write instead.
# Hazards: N17

from lib.apikeytest import Test, delay
from lib.apikeytest.nginx import Nginx

CONF = """
%GLOBALS%
{main}
events {{ }}
http {{
    %HTTP%
    {http}
    server {{
        listen 127.0.0.1:%PORT%;
        location / {{
            {location}
            empty_gif;
        }}
    }}
}}
"""
ZONE = "api_key_zone keys:1m;"
LOCAL = "api_key_redis redis://127.0.0.1"
SECURE = "api_key_redis rediss://127.0.0.1"
HTTP_MISTAKES = [                          # (line in http { }, what the message must say)
    ("api_key_zone keys;", r'"keys" is not a name and a size; write api_key_zone name:size, for example'),
    ("api_key_zone :8m;", r'":8m" is not a name and a size; write'),
    ("api_key_zone keys:lots;", r'"lots" is not a size; write api_key_zone'),
    ("api_key_zone keys:;", r'"" is not a size; write api_key_zone'),
    ("api_key_zone keys:-1;", r'"-1" is not a size; write api_key_zone'),
    ("api_key_zone keys:1k;", r'"keys" is too small; it needs at least 64k'),
    ("api_key_zone;", r"invalid number of arguments"),
    (f"{ZONE} {ZONE}", r'"api_key_zone" directive is duplicate'),
    (f"limit_req_zone $uri zone=keys:1m rate=1r/s; {ZONE}", r'"keys" is already declared for a different use'),

    ("api_key_redis localhost;", r"begins with none of redis://, rediss:// and unix:; write redis://.* or unix:/path"),
    ("api_key_redis http://localhost;", r"begins with none of redis://, rediss:// and unix:; write redis://.* or unix:/path"),
    (f"{LOCAL} ca_file=%F%/good;", r"has a ca_file and no TLS; write rediss:// instead of redis://, or leave it out"),
    (f"{SECURE} ca_file=;", r"ca_file= names no file"),
    (f"{SECURE} ca_file=%F%/missing;", r'ca_file ".*/missing" cannot be used \(No such file .*; it must be readable and'),
    (f"{SECURE} ca_file=%F%/empty;", r'ca_file ".*/empty" cannot be used \(.*\); it must .* hold the certificates .*PEM'),
    (f"{SECURE} ca_file=%F%/good;", r'ca_file ".*/good" cannot be used \(.*\); it must .* hold the certificates .*PEM'),
    (f"{SECURE} ca_file=%F%;", r'ca_file ".*" cannot be used \(.*\); it must be readable and'),
    (f"{SECURE} ca_file=a ca_file=b;", r"ca_file= stands twice; keep one"),
    ("api_key_redis redis://:6379;", r"there is no host; write redis://"),
    ("api_key_redis redis://localhost:70000;", r"the port is not a number from 1 to 65535; write redis://"),
    ("api_key_redis redis://localhost:0;", r"the port is not a number from 1 to 65535; write redis://"),
    ("api_key_redis redis://[::1;", r"the IPv6 address lacks its \]; write redis://"),
    ("api_key_redis redis://localhost/db;", r"the database is not a number; write redis://"),
    ('api_key_redis "redis://local host";', r"there is a space or control byte in it; write redis://"),
    ("api_key_redis redis://a:b%zz@localhost;", r"a % that is not followed by two hex digits"),
    ("api_key_redis unix:relative.sock;", r"a unix socket needs an absolute path; write redis://.* or unix:/path"),
    ("api_key_redis unix:/a?what=1;", r"only \?db=number may follow a socket's path; write"),
    (f"api_key_redis unix:/{'x' * 120};", r"the socket's path is longer than 107 bytes"),
    ("api_key_redis redis://no-such-host.invalid;",
     r'host not found for "no-such-host.invalid"; write an address or a name that this host can resolve'),
    (f"{LOCAL} timeout=soon;", r'"soon" is not a time above zero; write for example timeout=250ms .*counts seconds'),
    (f"{LOCAL} timeout=0;", r'"0" is not a time above zero; write for example timeout=250ms'),
    (f"{LOCAL} timeout=-1s;", r'"-1s" is not a time above zero; write for example timeout=250ms'),
    (f"{LOCAL} connect_timeout=;", r'"" is not a time above zero; write for example connect_timeout=250ms'),
    (f"{LOCAL} retries=3;", r'unknown parameter "retries" .*; there are password_file=, ca_file=, timeout='),
    (f"{LOCAL} fast;", r'unknown parameter "fast" .*; there are password_file=, ca_file=, timeout='),
    (f"{LOCAL} timeout=1s timeout=2s;", r"timeout= stands twice; keep one"),
    (f"{LOCAL} password_file=%F%/missing;",
     r'cannot use password_file ".*/missing"; it must exist, be readable .* first line .*No such file or directory'),
    (f"{LOCAL} password_file=%F%/empty;", r'cannot use password_file ".*/empty"; .* on its first line \(1 to 512 bytes\)'),
    (f"{LOCAL} password_file=%F%/long;", r'cannot use password_file ".*/long"; .* on its first line \(1 to 512 bytes\)'),
    (f"{LOCAL} password_file=%F%;", r"cannot use password_file .*Is a directory"),
    ("api_key_redis redis://joe@127.0.0.1;", r"names a user without a password; add password_file=path"),
    ("api_key_redis redis://:a@127.0.0.1 password_file=%F%/good;", r"a password in its URL and a password_file; keep the"),
    (f"{LOCAL}; {LOCAL};", r'"api_key_redis" directive is duplicate'),
    ("api_key_redis;", r"invalid number of arguments"),

    ('api_key_redis_prefix "";', r"takes 1 to 64 bytes, for example api_key_redis_prefix apikey:;"),
    (f"api_key_redis_prefix {'x' * 65};", r"takes 1 to 64 bytes, for example"),
    ('api_key_redis_prefix "a b";', r"takes printable ASCII without spaces"),
    ('api_key_redis_prefix "a\x07";', r"takes printable ASCII without spaces"),
    ("api_key_redis_prefix a:; api_key_redis_prefix a:;", r'"api_key_redis_prefix" directive is duplicate'),

    ("api_key_sidecar /run/a.sock;", r'"/run/a.sock" is no socket; write unix:/path'),
    ("api_key_sidecar unix:run/a.sock;", r'"unix:run/a.sock" is no socket; write unix:/path'),
    ("api_key_sidecar unix:;", r'"unix:" is no socket; write unix:/path'),
    (f"api_key_sidecar unix:/{'x' * 120};", r"is no socket; write unix:/path \(at most 107 bytes\)"),
    ("api_key_sidecar unix:/a secret=x;", r'unknown parameter "secret" of api_key_sidecar; there is secret_file=path'),
    ("api_key_sidecar unix:/a secret_file=%F%/missing;", r'cannot use secret_file ".*/missing"; it must exist'),
    ("api_key_sidecar unix:/a; api_key_sidecar unix:/a;", r'"api_key_sidecar" directive is duplicate'),

    ("api_key_usage_interval soon;", r"takes a time from 100ms to 1m, for example api_key_usage_interval 1s;"),
    ("api_key_usage_interval 99ms;", r"takes a time from 100ms to 1m, for example"),
    ("api_key_usage_interval 0;", r"takes a time from 100ms to 1m, for example"),
    ("api_key_usage_interval -1s;", r"takes a time from 100ms to 1m, for example"),
    ("api_key_usage_interval 61s;", r"takes a time from 100ms to 1m, for example"),
    ('api_key_usage_interval "";', r"takes a time from 100ms to 1m, for example"),
    ("api_key_usage_interval 1s; api_key_usage_interval 1s;", r'"api_key_usage_interval" directive is duplicate'),

    ("api_key_spool %F%/missing;", r'cannot look at ".*/missing"; make the directory, owned by the user of the workers.*No such file'),
    ("api_key_spool missing/relative;", r'cannot look at "/.*/missing/relative"; make the directory'),
    ("api_key_spool %F%/good;", r'".*/good" is no directory'),
    ("api_key_spool %F%/good/below;", r'cannot look at ".*/good/below"; make the directory.*Not a directory'),
    ('api_key_spool "";', r"takes a directory, for example api_key_spool /var/spool/nginx-api-key;"),
    ("api_key_spool %F%; api_key_spool %F%;", r'"api_key_spool" directive is duplicate'),
    ("api_key_spool;", r"invalid number of arguments"),
]
LOCATION_MISTAKES = [                      # (line in location { }, what the message must say)
    ('api_key "";', r'takes a realm of printable characters, for example api_key "Example API";, or off'),
    ('api_key "a\x01b";', r'takes a realm of printable characters, for example api_key "Example API";, or off'),
    ('api_key "a\x7f";', r"takes a realm of printable characters"),
    ("api_key a b;", r"invalid number of arguments"),
    ("api_key a; api_key off;", r'"api_key" directive is duplicate'),
    ("api_key_source body;", r'unknown source "body" .*; write bearer, header:NAME, arg:NAME or cookie:NAME'),
    ("api_key_source header:;", r'unknown source "header:" .*; write bearer, header:NAME, arg:NAME or cookie:NAME'),
    ('api_key_source "header:X Key";', r'unknown source "header:X Key" .*; write bearer, header:NAME'),
    ("api_key_source Bearer;", r'unknown source "Bearer" .*; write bearer, header:NAME'),
    ("api_key_source bearer bearer;", r'source "bearer" stands twice'),
    ("api_key_source header:X-Key header:x-key;", r'source "header:x-key" stands twice'),
    ("api_key_source bearer; api_key_source bearer;", r'"api_key_source" directive is duplicate'),
    ("api_key_phase log;", r'unknown phase "log"; write api_key_phase access; or preaccess;'),
    ("api_key_phase access; api_key_phase access;", r'"api_key_phase" directive is duplicate'),
    ("api_key_cache valid=soon;", r'api_key_cache: "soon" is not a time; write for example valid=30s .*counts seconds'),
    ("api_key_cache invalid=;", r'api_key_cache: "" is not a time; write for example invalid=30s'),
    ("api_key_cache valid;", r'unknown parameter "valid" of api_key_cache; there are valid=, invalid= and stale='),
    ("api_key_cache fresh=1s;", r'unknown parameter "fresh" of api_key_cache; there are valid=, invalid= and stale='),
    ("api_key_cache valid=1s valid=2s;", r"api_key_cache: valid= stands twice; keep one"),
    ("api_key_cache valid=1s; api_key_cache stale=1s;", r'"api_key_cache" directive is duplicate'),
    ("api_key_cache;", r"invalid number of arguments"),
    ("api_key_checksum maybe;", r'invalid value "maybe" in "api_key_checksum" directive, it must be "on" or "off"'),
    ("api_key_checksum on; api_key_checksum on;", r'"api_key_checksum" directive is duplicate'),
    ('api_key_require "a b";', r'invalid scope "a b" .*; write scopes as words, for example api_key_require chat:write;'),
    ('api_key_require "*";', r'invalid scope "\*" .*; write scopes as words'),
    ('api_key_require "";', r'invalid scope "" .*; write scopes as words'),
    ("api_key_require a; api_key_require b;", r'"api_key_require" directive is duplicate'),
    ("api_key_usage maybe;", r'invalid value "maybe" in "api_key_usage" directive, it must be "on" or "off"'),
    ("api_key_usage on; api_key_usage off;", r'"api_key_usage" directive is duplicate'),
    ("api_key_usage_endpoint a b;", r"invalid number of arguments"),
    ("api_key_usage_endpoint a; api_key_usage_endpoint b;", r'"api_key_usage_endpoint" directive is duplicate'),
    ("api_key_usage_model $;", r"invalid variable name"),
    ("api_key_usage_model a; api_key_usage_model b;", r'"api_key_usage_model" directive is duplicate'),
    ("api_key_usage_tokens;", r"invalid number of arguments"),
    ("api_key_usage_tokens $arg_a $arg_b $arg_c;", r"invalid number of arguments"),
    ("api_key_usage_tokens 1; api_key_usage_tokens 1 2;", r'"api_key_usage_tokens" directive is duplicate'),
    ("api_key_usage_cost 1 2;", r"invalid number of arguments"),
    ("api_key_usage_cost 1; api_key_usage_cost 2;", r'"api_key_usage_cost" directive is duplicate'),
    ("api_key_usage_tokens many;", r'"many" is no count of tokens; write a variable, for example api_key_usage_tokens \$upstream'),
    ("api_key_usage_tokens 1 1.5;", r'"1.5" is no count of tokens; write a variable, for example api_key_usage_tokens \$upstream'),
    ("api_key_usage_cost 0,5;", r'"0,5" is no cost; write a variable or a decimal number, for example'),
    ("api_key_usage_cost -1;", r'"-1" is no cost; write a variable or a decimal number, for example'),
    ("api_key_usage_response json;", r'unknown form "json"; write api_key_usage_response openai; or api_key_usage_response off;'),
    ('api_key_usage_response "";', r'unknown form ""; write api_key_usage_response openai;'),
    ("api_key_usage_response openai off;", r"invalid number of arguments"),
    ("api_key_usage_response off; api_key_usage_response off;", r'"api_key_usage_response" directive is duplicate'),
    ("api_key_usage_interval 1s;", r'"api_key_usage_interval" directive is not allowed here'),
    ("api_key_spool %F%;", r'"api_key_spool" directive is not allowed here'),
    ("api_key_export;", r"invalid number of arguments"),
    ("api_key_export keys;", r'unknown word "keys" of api_key_export; write api_key_export usage; or conversations;'),
    ("api_key_export usage;", r'"api_key_export" does not know for whom; write "api_key realm;" or "api_key_user value;" beside it'),
    ("api_key a; api_key_export usage; api_key_import usage;", r"api_key_import: this location has api_key_export already; use one location for each"),
    ('api_key_import "";', r'unknown word "" of api_key_import'),
    ("api_key a; api_key_manage; api_key_export usage;", r"api_key_export: this location has api_key_manage already; use one location for each"),
    ("api_key_manage;", r'"api_key_manage" does not know for whom; write "api_key realm;" or "api_key_user value;" beside it'),
    ("api_key_manage on;", r"invalid number of arguments"),
    *((f"{rule} api_key_user a; api_key_manage;", r'"api_key_user" says for whom clients act, but nothing here keeps them from being anybody; write auth_basic')
      for rule in ("", "auth_basic off;", "auth_request off;")),
    *((f"{rule} api_key a; api_key_user {value}; api_key_manage;", r'"api_key_user" names \$remote_user, which is whatever the client says where no password is asked for; write auth_basic')
      for rule in ("", "auth_basic off;", "allow all;") for value in ("$remote_user", "x-${remote_user}", "$remote_user@example.com")),
    ("satisfy any; auth_basic a; auth_basic_user_file %F%; api_key a; api_key_user $remote_user; api_key_export usage;", r'"api_key_user" does not go with "satisfy any"'),
    ("satisfy any; allow all; api_key_user $remote_addr; api_key_manage;", r'"api_key_user" does not go with "satisfy any"'),
    ("api_key_user a; api_key_user b;", r'"api_key_user" directive is duplicate'),
    ('api_key_user "";', r"api_key_user takes who asks, for example api_key_user \$remote_user;"),
    ("api_key_user $;", r"invalid variable name"),
    (ZONE, r'"api_key_zone" directive is not allowed here'),
    (f"{LOCAL};", r'"api_key_redis" directive is not allowed here'),
    ("if ($uri) { api_key a; }", r'"api_key" directive is not allowed here'),
]


def check(conf, mistake):
    """What `nginx -t` says of it, and the line in nginx.conf where the mistake is."""
    nginx = Nginx(t.new_folder("nginx-check"), conf, start=False, f=files)
    with open(f"{nginx.folder}/nginx.conf", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return *nginx.check_config(), 1 + [n for n, line in enumerate(lines) if mistake.replace("%F%", files) in line][-1]


with Test() as t:
    files = t.new_folder("files")
    for name, text in {"empty": "", "good": "a password\n", "long": "x" * 513 + "\n"}.items():
        with open(f"{files}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    cases = [(CONF.format(main="", http=line, location=""), line, says) for line, says in HTTP_MISTAKES]
    cases += [(CONF.format(main="", http=ZONE, location=line), line, says) for line, says in LOCATION_MISTAKES]
    cases += [(CONF.format(main="", http="", location="api_key a;"), "api_key a;", r'needs a key zone; write "api_key_zone'),
              (CONF.format(main="", http="", location="api_key_metrics;"), "api_key_metrics;",
               r'"api_key_metrics" needs a key zone; write "api_key_zone'),
              (CONF.format(main="api_key a;", http="", location=""), "api_key a;", r'"api_key" directive is not allowed here')]
    for conf, mistake, says in cases:
        status, output, line = check(conf, mistake)
        t.ok(status != 0, f"refused: {mistake[:60]}")
        t.like(output, rf"\[emerg\].*{says}.* in .*/nginx\.conf:{line}$", "with its line and what to write")

    # nginx looks for variables when it has read everything, and so knows no line.
    for mistake in ("api_key_usage_endpoint $no_such_variable;", "api_key_usage_tokens 1 $no_such_variable;"):
        status, output, _ = check(CONF.format(main="", http=ZONE, location=mistake), mistake)
        t.ok(status != 0, f"refused: {mistake}")
        t.like(output, r'\[emerg\] unknown "no_such_variable" variable', "by its name")

    # A bare number counts seconds, as everywhere in nginx.
    alice = t.key()
    proxy = t.redis_proxy(t.redis(keys=[alice]))
    nginx = t.nginx(CONF.format(main="", http=f"{ZONE} api_key_redis {proxy} timeout=1;", location="api_key a;"))
    proxy.on("HMGET", delay(0.5), nth=1)
    t.is_(nginx.get("/", alice).status, 200, "timeout=1 is more than half a second")
    proxy.on("HMGET", delay(3), nth=1)
    t.is_(nginx.get("/", alice).status, 503, "and less than three")
