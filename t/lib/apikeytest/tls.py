"""TLS between a test's client and nginx."""

import ssl
import subprocess


def certificate(folder):
    """Makes a self-signed certificate for localhost; what nginx.conf says to use it."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=localhost", "-days", "2", "-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt"],
                   check=True, capture_output=True, timeout=30)
    return f"ssl_certificate {folder}/tls.crt; ssl_certificate_key {folder}/tls.key;"


def wrapped(connection):
    """The HTTP/1 connection (of nginx.connect), from now on over TLS. Whose certificate it is does not matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
    return connection
