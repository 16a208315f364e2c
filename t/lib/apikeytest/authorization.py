"""How an Authorization value is read where the realm is "test": the same over every version of HTTP."""

PLAIN, WITH_ERROR = 'Bearer realm="test"', 'Bearer realm="test", error="invalid_token"'
LET_THROUGH = (200, None, None)
MISSING = (401, "missing_api_key", PLAIN)
MALFORMED = (401, "malformed_api_key", WITH_ERROR)
INVALID = (401, "invalid_api_key", WITH_ERROR)


def summary(response):
    return response.status, response.code, response.header("WWW-Authenticate")


def values(key):
    """(name, value, summary of the answer) each, where `key` and "x" are keys."""
    return [
        ("bearer", f"bearer {key}", LET_THROUGH),
        ("BEARER", f"BEARER {key}", LET_THROUGH),
        ("BeArEr", f"BeArEr {key}", LET_THROUGH),
        ("one byte", "Bearer x", LET_THROUGH),
        ("no value", "", MISSING),
        ("Basic", "Basic dXNlcjpwYXNzd29yZA==", MISSING),
        ("Basic with a key in it", f"Basic {key}", MISSING),
        ("Digest", f'Digest username="a", response="{key}"', MISSING),
        ("Token", f"Token {key}", MISSING),
        ("a key alone", key, MISSING),
        ("a longer scheme", f"Bearers {key}", MISSING),
        ("a shorter scheme", f"Beare {key}", MISSING),
        ("a scheme before it", f"Basic Bearer {key}", MISSING),
        ("an equals sign for the space", f"Bearer={key}", MISSING),
        ("a colon for the space", f"Bearer: {key}", MISSING),
        ("Bearer alone", "Bearer", MALFORMED),
        ("Bearer and spaces", "Bearer   ", MALFORMED),
        ("Bearer and a tab", "Bearer\t", MALFORMED),
        ("several spaces", f"Bearer     {key}", LET_THROUGH),
        ("a tab for the space", f"Bearer\t{key}", MALFORMED),
        ("a space, then a tab", f"Bearer \t{key}", MALFORMED),
        ("a space in front", f" Bearer {key}", LET_THROUGH),
        ("a tab in front", f"\tBearer {key}", LET_THROUGH),
        ("a space behind", f"Bearer {key} ", LET_THROUGH),
        ("a tab behind", f"Bearer {key}\t", LET_THROUGH),
        ("spaces and tabs around", f" \t Bearer {key}\t \t", LET_THROUGH),
        ("spaces and tabs alone", " \t ", MISSING),
        ("lower-case letters for all", f"Bearer {key.lower()}", INVALID),
        ("upper-case letters for all", f"Bearer {key.upper()}", INVALID),
        ("one letter of the other case", f"Bearer {key[:3] + key[3:].swapcase()}", INVALID),
        ("two credentials", f"Bearer {key}, Bearer x", MALFORMED),
        ("a comma behind", f"Bearer {key},", MALFORMED),
    ]


def check(t, proxy, key, versions):
    """Checks all of them by each of `versions`: name → function that makes a request with such a value. `proxy`: to Redis."""
    looked_up = proxy.count("HMGET")
    for name, value, want in values(key):
        for version, request in versions.items():
            t.is_(summary(request(value)), want, f"HTTP/{version}: {name}")
        looked_up += len(versions) if want in (LET_THROUGH, INVALID) else 0
    t.is_(proxy.count("HMGET"), looked_up, "only what can be a key is looked up")
