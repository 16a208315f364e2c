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
        %LOCATIONS%
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

# Of the LRU in front of Lua's dict, and of the service behind auth_request.
CACHE_ENTRIES = 20_000

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
AUTH_REQUEST_TELLS = """auth_request_set $key_user $upstream_http_x_user_id; auth_request_set $key_id $upstream_http_x_api_key_id;
            auth_request_set $key_scopes $upstream_http_x_api_key_scopes;
            proxy_set_header X-User-Id $key_user; proxy_set_header X-Api-Key-Id $key_id;
            proxy_set_header X-Api-Key-Scopes $key_scopes; proxy_set_header Authorization "";
            """

LUA_MODULES = """load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"""

LUA_SHARED = """lua_package_path "%BENCH%/lua/?.lua;;";
    lua_shared_dict api_keys %ZONE%;
    init_by_lua_block { require("api_key").setup { redis = "%REDIS%", valid = %VALID%, invalid = %INVALID%, lru = %LRU% } }"""

SERVICE = """upstream key_service {
        server unix:%SERVICE%;
        keepalive 128;
        keepalive_requests 1000000000;
        keepalive_time 1h;
    }"""
SERVICE_LOCATION = """location = /key {
            internal;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_pass_request_body off;
            proxy_pass http://key_service;
        }"""


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

    def in_process(self):
        """Whether nginx decides by itself, so that its own instructions are all that there are."""
        return True

    def single_process(self):
        """The same without a master process: for valgrind. Usage is not shipped meanwhile: that is done by time, which
        goes by faster there."""
        return dataclasses.replace(self, conf=self.conf + SINGLE_PROCESS, values=self.values | {"interval": "1m"})


@dataclasses.dataclass
class WithService(Contestant):
    """nginx that asks a service of its own about every request."""
    redis: object
    setting: Setting

    def start(self, stage, **options):
        """The service gets the core of the load, as Redis does; the Nginx names it in `helpers`."""
        service = stage.auth_service(self.redis, self.setting.valid, self.setting.invalid, CACHE_ENTRIES)
        nginx = super().start(stage, service=service.socket_path, **options)
        nginx.helpers = [service.process.pid]
        return nginx

    def in_process(self):
        return False


def bare(setting):
    """nginx alone."""
    return contestant("bare", setting, "", "", {"module": False, "modules": ""})


def product(redis, setting, name="ours"):
    shared = "api_key_zone keys:%ZONE%;\n    api_key_redis %REDIS%;\n    api_key_usage_interval %INTERVAL%;"
    check = (f'api_key "bench"; api_key_cache valid={setting.valid}s invalid={setting.invalid}s; '
             f'api_key_usage {"on" if setting.usage else "off"};')
    values = {"modules": "", "redis": redis, "interval": "1s", "locations": "location = /metrics { api_key_metrics; }"}
    return contestant(name, setting, shared, check, values, PRODUCT_TELLS)


def lua(redis, setting, lru=False):
    """Lua with a shared dict and, with `lru`, an LRU of the worker in front of it. It records no usage."""
    values = {"module": False, "modules": LUA_MODULES, "bench": BENCH, "redis": redis, "valid": setting.valid,
              "invalid": setting.invalid, "lru": CACHE_ENTRIES if lru else "nil"}
    then = "" if setting.api is None else ' require("api_key").tell()'
    return contestant("Lua+LRU" if lru else "Lua", setting, LUA_SHARED,
                      f'access_by_lua_block {{ require("api_key").check(){then} }}', values, LUA_TELLS)


def auth_request(redis, setting):
    """auth_request and the service of node/auth_service.mjs, which keeps verdicts for as long as the others. It records no usage."""
    values = {"module": False, "modules": "", "locations": SERVICE_LOCATION}
    made = contestant("auth_request", setting, SERVICE, "auth_request /key;", values, AUTH_REQUEST_TELLS)
    return WithService(**vars(made), redis=redis, setting=setting)


def contestant(name, setting, shared, check, values, tells=""):
    content = EMPTY_GIF
    if setting.api is not None:
        shared, content = f"{shared}\n    {UPSTREAM}", tells + PROXY
    return Contestant(name, CONF, {"shared": shared, "check": check, "content": content, "zone": setting.zone,
                                   "api": setting.api, "locations": "", **values})
