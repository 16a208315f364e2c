"""Who is measured: each gives the same nginx location with another way to check the key."""

import dataclasses

from . import BENCH

CONF = """
%GLOBALS%
%MODULES%
worker_processes 1;
events { worker_connections 2048; }
http {
    %HTTP%
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout  1h;
    %SHARED%
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            %CHECK%
            %CONTENT%
        }
        %METRICS%
    }
}
"""

# The upstream of proxied locations.
API = """
%GLOBALS%
worker_processes 1;
events { worker_connections 2048; }
http {
    %HTTP%
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout  1h;
    server {
        listen 127.0.0.1:%PORT%;
        location / { empty_gif; }
    }
}
"""

SINGLE_PROCESS = "\nmaster_process off;"

# What every contestant serves: a file from memory, or what an upstream answers over kept connections.
EMPTY_GIF = "empty_gif;"
UPSTREAM = """upstream api {
        server 127.0.0.1:%API%;
        keepalive 128;
        keepalive_requests 1000000000;
        keepalive_time 1h;
    }"""
PROXY = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://api;'
# How the identity gets there.
PRODUCT_TELLS = "include %API_KEY_PARAMS%; "
LUA_TELLS = """set $key_user ""; set $key_id ""; set $key_scopes "";
            proxy_set_header X-User-Id $key_user; proxy_set_header X-Api-Key-Id $key_id;
            proxy_set_header X-Api-Key-Scopes $key_scopes; proxy_set_header Authorization "";
            """

LUA_MODULES = """load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"""

LUA_SHARED = """lua_package_path "%BENCH%/lua/?.lua;;";
    lua_shared_dict api_keys %ZONE%;
    init_by_lua_block { require("api_key").setup { redis = "%REDIS%", valid = %VALID%, invalid = %INVALID%, lru = %LRU% } }"""


@dataclasses.dataclass
class Setting:
    """How long (in seconds; 0: not at all) verdicts are kept, in how much shared memory; whether usage is recorded;
    the port of an upstream (None: an empty GIF is served)."""
    valid: int = 600
    invalid: int = 600
    zone: str = "64m"
    usage: bool = False
    api: int | None = None


@dataclasses.dataclass
class Contestant:
    name: str
    conf: str
    values: dict

    def start(self, stage, **options):
        """nginx with it, one worker, on the core for nginx."""
        return stage.nginx(self.conf, cpu=stage.nginx_cpu, **self.values, **options)

    def single_process(self):
        """The same without a master process: for valgrind. Usage is not shipped meanwhile: that is done by time, which
        goes by faster there."""
        return dataclasses.replace(self, conf=self.conf + SINGLE_PROCESS, values=self.values | {"interval": "1m"})


def bare(setting):
    """nginx alone."""
    return contestant("bare", setting, "", "", {"module": False, "modules": ""})


def product(redis, setting, name="ours"):
    shared = "api_key_zone keys:%ZONE%;\n    api_key_redis %REDIS%;\n    api_key_usage_interval %INTERVAL%;"
    check = (f'api_key "bench"; api_key_cache valid={setting.valid}s invalid={setting.invalid}s; '
             f'api_key_usage {"on" if setting.usage else "off"};')
    values = {"modules": "", "redis": redis, "interval": "1s", "metrics": "location = /metrics { api_key_metrics; }"}
    return contestant(name, setting, shared, check, values, PRODUCT_TELLS)


def lua(redis, setting, lru=None):
    """Lua with a shared dict and, with `lru` (entries), an LRU of the worker in front of it. It records no usage."""
    values = {"module": False, "modules": LUA_MODULES, "bench": BENCH, "redis": redis, "valid": setting.valid,
              "invalid": setting.invalid, "lru": lru or "nil"}
    then = "" if setting.api is None else ' require("api_key").tell()'
    return contestant("Lua+LRU" if lru else "Lua", setting, LUA_SHARED,
                      f'access_by_lua_block {{ require("api_key").check(){then} }}', values, LUA_TELLS)


def contestant(name, setting, shared, check, values, tells=""):
    content = EMPTY_GIF
    if setting.api is not None:
        shared, content = f"{shared}\n    {UPSTREAM}", tells + PROXY
    return Contestant(name, CONF, {"shared": shared, "check": check, "content": content, "zone": setting.zone,
                                   "api": setting.api, "metrics": "", **values})
