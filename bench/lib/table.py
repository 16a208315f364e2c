"""The table at the end: what was measured, against whom, and which goal it is held against."""

import dataclasses

COLUMNS = ("ours", "bare", "Lua", "Lua+LRU", "HAProxy")


@dataclasses.dataclass
class Line:
    """`values`: by column, numbers or text. `limit` says the goal as text; `met`: None where there is nothing to say."""
    what: str
    values: dict
    limit: str = ""
    met: bool | None = None
    digits: int = 2


def at_most(what, values, limit, digits=2, text=None):
    """A line whose goal is ours <= limit."""
    return Line(what, values, text or f"≤ {number(limit, digits)}", values["ours"] <= limit, digits)


def at_least(what, values, limit, digits=2, text=None):
    """A line whose goal is ours >= limit."""
    return Line(what, values, text or f"≥ {number(limit, digits)}", values["ours"] >= limit, digits)


def number(value, digits):
    return value if isinstance(value, str) else f"{value:,.{digits}f}"


def render(groups):
    """groups: (title, lines, notes) each; the table as text."""
    rows = []
    for title, lines, _ in groups:
        rows.append((title, *[""] * (len(COLUMNS) + 2)))
        rows += [cells(line) for line in lines]
    head = ("", *COLUMNS, "goal", "met")
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    text = [layout(head, widths), "─" * (sum(widths) + 2 * len(widths) - 2)]
    text += [layout(row, widths) for row in rows]
    text += [f"* {title}: {note}" for title, _, notes in groups for note in notes]
    return "\n".join(text)


def cells(line):
    values = [number(line.values[name], line.digits) if name in line.values else "" for name in COLUMNS]
    return (f"  {line.what}", *values, line.limit, {True: "yes", False: "NO", None: ""}[line.met])


def layout(row, widths):
    first, *figures, limit, met = row
    middle = "  ".join(cell.rjust(width) for cell, width in zip(figures, widths[1:]))
    return f"{first.ljust(widths[0])}  {middle}  {limit.ljust(widths[-2])}  {met}".rstrip()
