#!/usr/bin/python3
# nginx -t and -T neither print a secret nor connect to Redis or apikeyd, whether the configuration is right or wrong.
# Hazards: N30

import os
import socket

from lib.apikeytest import Test
from lib.apikeytest.nginx import Nginx

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    %REDIS%
    %SIDECAR%
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://127.0.0.1:%PORT_U%; }
    }
}
"""


def secret_in(name):
    """A file with a secret; -T prints the files that nginx.conf includes, and these must not be among them."""
    text = t.secret(f"secret-{os.urandom(12).hex()}")
    with open(f"{files}/{name}", "w", encoding="ascii") as file:
        file.write(text + "\n")
    return text


class Listener:
    """A socket that counts who comes."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(16)
        self.socket.setblocking(False)

    def visitors(self):
        count = 0
        try:
            while True:
                self.socket.accept()[0].close()
                count += 1
        except BlockingIOError:
            return count


with Test() as t:
    files = t.new_folder("files")
    password, secret = secret_in("password"), secret_in("secret")
    typed = t.secret(f"typed-{os.urandom(12).hex()}")
    for name in ("password", "secret"):
        os.chmod(f"{files}/{name}", 0o600)
    redis, sidecar = Listener(f"{files}/redis.sock"), Listener(f"{files}/apikeyd.sock")
    right = {"redis": f"api_key_redis unix:{files}/redis.sock password_file={files}/password;",
             "sidecar": f"api_key_sidecar unix:{files}/apikeyd.sock secret_file={files}/secret;"}

    def run(options=(), **values):
        """nginx -t: status, and which secrets were printed or logged."""
        nginx = Nginx(t.new_folder("nginx-check"), CONF, start=False, **(right | values))
        status, output = nginx.check_config(*options)
        return status, output, [s for s in (password, secret, typed) if s in output + nginx.log()]

    for options in ((), ("-T",), ("-q",)):
        status, output, shown = run(options)
        t.is_((status, shown), (0, []), f"nginx -t {' '.join(options)}: passes and shows no secret", output)
    t.like(run(("-T",))[1], r"password_file=.*/password;", "-T does print nginx.conf itself")

    # Wrong in other places, or secrets in the wrong place.
    for name, value in (("redis", right["redis"].replace("unix:", "rediss://")),
                        ("redis", right["redis"].replace(";", " timeout=soon;")),
                        ("redis", right["redis"].replace(";", " what=ever;")),
                        ("redis", f"api_key_redis redis://joe:{typed}@127.0.0.1:port;"),
                        ("redis", f"api_key_redis rediss://joe:{typed}@127.0.0.1 ca_file={files}/password;"),
                        ("redis", f"api_key_redis redis://joe:{typed}@no-such-host.invalid;"),
                        ("redis", f"api_key_redis redis://:{typed}@127.0.0.1 password_file={files}/password;"),
                        ("redis", f"api_key_redis redis://127.0.0.1 password={typed};"),
                        ("sidecar", f"api_key_sidecar unix:{files}/apikeyd.sock secret={typed};"),
                        ("sidecar", right["sidecar"].replace("secret_file", "password_file"))):
        status, output, shown = run((), **{name: value})
        t.is_((status, shown), (1, []), f"refused without showing a secret: {value[:40]}", output)

    t.is_((redis.visitors(), sidecar.visitors()), (0, 0), "nothing was connected to")
    nginx = t.nginx(CONF, **right)
    t.ok(nginx.wait_log("cannot be used") or redis.visitors(), "only a started nginx connects")
    nginx.stop()
    t.unlike(nginx.log(), f"{password}|{secret}", "and its log shows no secret")
