"""API keys as the product makes them: prefix, 43 random base62 characters, 6 of checksum (DESIGN.md, 3.4)."""

import dataclasses
import hashlib
import random
import uuid
import zlib

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_random = random.SystemRandom()


def checksum(text):
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def make_key_text(prefix="ia_", rng=_random):
    body = prefix + "".join(rng.choice(BASE62) for _ in range(43))
    return body + checksum(body)


def digest(key_text):
    raw = key_text if isinstance(key_text, bytes) else key_text.encode("latin-1")
    return hashlib.sha256(raw).hexdigest()


@dataclasses.dataclass
class Key:
    """One key and its facts. `key` is the secret itself; the rest is what Redis holds about it."""
    key: str
    user: str = "user-1"
    id: str = ""
    name: str = "a key"
    prefix: str = ""
    scopes: str = "*"
    expires: str = ""

    def __post_init__(self):
        self.id = self.id or str(uuid.uuid4())
        self.prefix = self.prefix or self.key[:12]
        self.expires = str(self.expires)

    @property
    def hash(self):
        return digest(self.key)

    @property
    def bearer(self):
        """The header that presents it."""
        return ("Authorization", f"Bearer {self.key}")

    def redis_fields(self):
        return {"hash": self.hash, "id": self.id, "user": self.user, "name": self.name, "prefix": self.prefix,
                "scopes": self.scopes, "expires": self.expires}
