"""TLS between a test's client and nginx, and between nginx or apikeyd and Redis."""

import ipaddress
import os
import ssl
import subprocess

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*argv):
    subprocess.run(["openssl", *argv], check=True, capture_output=True, timeout=30)


class Authority:
    """A certificate authority of the test's own; `.file` is what those who trust it are given."""

    def __init__(self, folder, name="test authority", days=2):
        self.folder, self.file, self._made = folder, f"{folder}/{name.replace(' ', '-')}.crt", 0
        self._key = self.file.replace(".crt", ".key")
        openssl("req", "-x509", *NEW_KEY, "-subj", f"/CN={name}", "-days", str(days), "-keyout", self._key,
                "-out", self.file)

    def certificate(self, *names, days=2):
        """For these DNS names and addresses (none: a common name and nothing else); days=-1 has expired."""
        self._made += 1
        stem = f"{self.folder}/server-{self._made}"
        openssl("req", *NEW_KEY, "-subj", "/CN=localhost", "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        with open(f"{stem}.ext", "w", encoding="ascii") as file:
            file.write("subjectAltName=" + ",".join(f"{kind_of(n)}:{n}" for n in names) if names else "")
        openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", self.file, "-CAkey", self._key, "-days", str(days),
                "-extfile", f"{stem}.ext", "-out", f"{stem}.crt")
        os.chmod(f"{stem}.key", 0o644)
        return Certificate(f"{stem}.crt", f"{stem}.key", self.file)


class Certificate:
    """A server's: files `.crt`, `.key`, and of who signed it `.authority`."""

    def __init__(self, crt, key, authority):
        self.crt, self.key, self.authority = crt, key, authority

    def server_context(self, version=None):
        """For a server in Python, of this TLS version at most."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.crt, self.key)
        if version:
            context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, version
        return context


def kind_of(name):
    try:
        ipaddress.ip_address(name)
        return "IP"
    except ValueError:
        return "DNS"


def certificate(folder):
    """Makes a self-signed certificate for localhost; what nginx.conf says to use it."""
    openssl("req", "-x509", *NEW_KEY, "-subj", "/CN=localhost", "-days", "2", "-keyout", f"{folder}/tls.key",
            "-out", f"{folder}/tls.crt")
    return f"ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;"


def wrapped(connection):
    """The HTTP/1 connection (of nginx.connect), from now on over TLS. Whose certificate it is does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
    return connection
