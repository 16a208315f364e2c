#!/usr/bin/python3
# No import and no change of a key is taken from early data of TLS (0-RTT), which somebody may send again: 425, and apikeyd is not asked. Sent again behind the
# handshake it is. An export may be early.
# Hazards: N33

import re
import subprocess

from lib.apikeytest import Test, request_bytes
from lib.apikeytest.fake_sidecar import FakeSidecar

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR%;
    ssl_certificate     %CRT%;
    ssl_certificate_key %KEY%;
    ssl_protocols       TLSv1.3;
    ssl_early_data      on;
    server {
        listen 127.0.0.1:%PORT% ssl;
        location /import/ { allow all; api_key_user alice; api_key_import usage; }
        location /keys/   { allow all; api_key_user alice; api_key_manage; }
        location /export/ { allow all; api_key_user alice; api_key_export usage; }
    }
}
"""


def ask(method, path, early, body=b""):
    """(status, whole answer) over a session that was begun before; without `early` the first of one, which it keeps."""
    with open(f"{folder}/request", "wb") as file:
        file.write(request_bytes(method, path, headers={"Connection": "close", "Content-Type": "text/csv"}, body=body))
    how = ["-sess_in", f"{folder}/session", "-early_data", f"{folder}/request"] if early else ["-sess_out", f"{folder}/session"]
    with open(f"{folder}/request", "rb") as file:
        said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{nginx.port}", "-tls1_3", "-ign_eof", *how],
                              stdin=subprocess.DEVNULL if early else file, capture_output=True, timeout=30, check=False).stdout.decode("latin-1")
    answer = re.search(r"^HTTP/1\.1 (\d+).*", said, re.M | re.S)
    if early:
        t.ok("Early data was accepted" in said, f"{method} {path}: nginx took it as early data", said[-2000:])
    return int(answer[1]), answer[0]


def early(request):
    method, path, body = request
    before, answers = len(sidecar.requests), []
    while len(answers) < 10 and 425 not in [status for status, _ in answers]:      # a slow nginx looks when the handshake is over
        answers.append(ask(method, path, True, body))
    status, text = answers[-1]
    t.is_((status, len(sidecar.requests) - before), (425, len(answers) - 1), f"{method} {path}, early: 425, and apikeyd is not asked")
    t.like(text, r'Content-Type: application/problem\+json(.|\r|\n)*"code":"too_early"', "with a problem document")


with Test() as t:
    folder, certificate = t.new_folder("tls"), t.authority().certificate("localhost")
    sidecar = FakeSidecar(t.folder)
    nginx = t.nginx(CONF, redis=t.redis(keys=[]), sidecar=sidecar, crt=certificate.crt, key=certificate.key)
    body = b"date\n" * 100
    t.is_((ask("POST", "/import/", False, body)[0], [asked.body for asked in sidecar.requests]), (200, [body]), "behind the handshake it is taken")

    early(("DELETE", "/keys/00000000-0000-4000-8000-000000000000", b""))
    early(("POST", "/import/", body))
    t.is_(ask("POST", "/import/", False, body)[0], 200, "sent again: it is taken")
    t.is_(ask("GET", "/export/", True)[0], 200, "an export may be early: reading again does no harm")
