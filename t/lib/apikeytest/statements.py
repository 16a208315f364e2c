"""What a server was sent, from its log."""

import re


def log_statements(pg):
    """From now on the server's log has all statements; restarts it."""
    for setting in ("log_statement = 'all'", "log_line_prefix = '@@ '", "log_parameter_max_length = -1"):
        pg.sql(f"ALTER SYSTEM SET {setting}")
    pg.restart()


def statements(log):
    """What was sent, with its parameters in their places."""
    found = []
    for entry in re.findall(r"^@@ (.*?)(?=^@@ |\Z)", log, re.M | re.S):
        kind, _, text = entry.partition(":  ")
        if kind == "LOG" and (said := re.match(r"(?:statement|execute <unnamed>): (.*)\Z", text, re.S)):
            found.append(said[1].strip())
        elif kind == "DETAIL" and (values := re.findall(r"\$(\d+) = ('(?:[^']|'')*'|NULL)", text)):
            given = dict(values)
            found[-1] = re.sub(r"\$(\d+)", lambda place: given[place[1]], found[-1])
    return found
