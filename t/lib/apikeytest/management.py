"""Key holders who manage their own keys, over the whole stack: nginx, apikeyd under its own role, Redis, Postgres."""

import json

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR%;
    api_key_cache   valid=20s stale=10s;
    api_key_usage_interval 100ms;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location = /metrics { api_key off; api_key_metrics; }
        location = /pid     { api_key off; return 200 $pid; }
        %LOCATIONS%
    }
}
"""
LOCATIONS = """
        api_key "test";
        location /              { empty_gif; }
        location /api/api-keys  { api_key_manage; }
"""
API = "/api/api-keys"
NOBODYS = "00000000-0000-4000-8000-000000000000"


class Management:
    """`more`: locations beside (`locations`) the one of the API and one that needs a key."""

    def __init__(self, t, more="", locations=LOCATIONS, **settings):
        self.t, self.pg, self.redis = t, t.postgres(), t.redis()
        self.apikeyd = t.apikeyd(self.pg.dsn.replace("user=postgres", "user=apikeyd"), self.redis, **settings)
        self.nginx = t.nginx(CONF.replace("%LOCATIONS%", locations + more), redis=self.redis, sidecar=self.apikeyd)

    def key(self, user, *scopes, expires=None, name="first"):
        """A key by the operator: its id and text."""
        options = [word for scope in scopes for word in ("--scope", scope)] + (["--expires", expires] if expires else [])
        made = self.apikeyd.ctl("keys", "create", "--user", user, "--name", name, *options, json=True)
        self.t.secret(made["key"])
        return made["id"], made["key"]

    def ask(self, method, path, key, body=None, headers=(), client=None):
        """`path`: behind the API's own; `body`: what JSON is made of, or bytes. The answer's `.json` is there."""
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None and not any(name == "Content-Type" for name, _ in headers):
            headers.append(("Content-Type", "application/json"))
        path = path if path.startswith("/") else f"{API}{'/' if path and path[0] != '?' else ''}{path}"
        if client is not None:
            r = client.request(method, path, key, headers, body or b"")
        else:
            r = self.nginx.get(path, key, headers, method, body or b"")
        if r.status in (200, 201, 202) and method != "HEAD" and "key" in r.json and isinstance(r.json["key"], str):
            self.t.secret(r.json["key"])
        return r

    def made(self, key, name="made", headers=(), **fields):
        """A key that the holder of another makes: the answer's JSON."""
        r = self.ask("POST", "", key, {"name": name, **fields}, headers)
        if r.status != 201:
            raise RuntimeError(f"{r.status} {r.text}")
        return r.json

    def audit(self, where="true"):
        return self.pg.sql(f"SELECT user_id, key_name, action, actor, source FROM audit_log WHERE {where} ORDER BY id")
