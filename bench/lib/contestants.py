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
            empty_gif;
        }
    }
}
"""

SINGLE_PROCESS = "\nmaster_process off;"

LUA_MODULES = """load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"""

LUA_SHARED = """lua_package_path "%BENCH%/lua/?.lua;;";
    lua_shared_dict api_keys %ZONE%;
    init_by_lua_block { require("api_key").setup { redis = "%REDIS%", valid = %VALID%, invalid = %INVALID%, lru = %LRU% } }"""


@dataclasses.dataclass
class Setting:
    """How long (in seconds; 0: not at all) verdicts are kept, in how much shared memory."""
    valid: int = 600
    invalid: int = 600
    zone: str = "64m"


@dataclasses.dataclass
class Contestant:
    name: str
    conf: str
    values: dict

    def start(self, stage, **options):
        """nginx with it, one worker, on the core for nginx."""
        return stage.nginx(self.conf, cpu=stage.nginx_cpu, **self.values, **options)

    def single_process(self):
        """The same without a master process: for valgrind."""
        return dataclasses.replace(self, conf=self.conf + SINGLE_PROCESS)


def bare():
    """nginx alone."""
    return Contestant("bare", CONF, {"module": False, "modules": "", "shared": "", "check": ""})


def product(redis, setting):
    shared = "api_key_zone keys:%ZONE%;\n    api_key_redis %REDIS%;"
    check = f'api_key "bench"; api_key_cache valid={setting.valid}s invalid={setting.invalid}s;'
    return Contestant("ours", CONF, {"modules": "", "shared": shared, "check": check, "redis": redis,
                                     "zone": setting.zone})


def lua(redis, setting, lru=None):
    """Lua with a shared dict and, with `lru` (entries), an LRU of the worker in front of it."""
    values = {"module": False, "modules": LUA_MODULES, "shared": LUA_SHARED, "bench": BENCH, "redis": redis,
              "zone": setting.zone, "valid": setting.valid, "invalid": setting.invalid, "lru": lru or "nil",
              "check": 'access_by_lua_block { require("api_key").check() }'}
    return Contestant("Lua+LRU" if lru else "Lua", CONF, values)

