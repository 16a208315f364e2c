"""Random texts of what breaks programs that copy them: all planes of Unicode, control bytes, quotes, line ends, what begins a formula."""

import re

PIECES = ['"', '""', ",", ";", "\t", "\n", "\r", "\r\n", "\\", "\\N", "\\.", "\\n", "\\u0041", "'", "''", "=", "+", "-", "@", "=1+1", "'=x", " ", "  ", "NULL", "null",
          "\ufeff", "\ufffd", "\u202e", "\u2028", "\u2029", "\x85", "\xa0", "e\u0301", "\xe9", "\x7f", "\U0001f469\u200d\U0001f4bb", "{", "}", "[", "]", ":", "%s", "$1",
          "</script>", "' OR 1=1 --", "a", "0", "\ud7ff", "\ue000", "\uffff", "\U0010ffff"]
CONTROLS = [chr(code) for code in range(1, 0x20)]
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def character(rng):
    """Of any plane, none more often than another; no surrogate, no NUL."""
    while True:
        code = rng.randrange(17) << 16 | rng.randrange(1 << 16)
        if code and not 0xD800 <= code < 0xE000:
            return chr(code)


def text(rng, most=12):
    """Of 0 to `most` pieces."""
    return "".join(rng.choice((lambda: rng.choice(PIECES), lambda: rng.choice(CONTROLS), lambda: character(rng)))() for _ in range(rng.randint(0, most)))


def texts(rng, count):
    """So many different ones; every piece and every control byte begins one, and ends one."""
    made = {"", *PIECES, *CONTROLS, *(piece + "x" for piece in PIECES + CONTROLS), *("x" + piece for piece in PIECES + CONTROLS)}
    made |= {chr(plane << 16 | 0xFFFE) for plane in range(17)} | {chr(plane << 16 | 0x1234) for plane in range(17)}
    while len(made) < count:
        made.add(text(rng))
    return rng.sample(sorted(made), len(made))


def guarded(value):
    """As an export writes a text into CSV, where a spreadsheet must not take it for a formula."""
    return "'" + value if FORMULA.match(value) else value


def bare(field):
    """The text of a field of such a CSV."""
    return field[1:] if field.startswith("'") and FORMULA.match(field) else field
