"""The table at the end: what was measured, which goal it is held against, and the peers."""

import dataclasses
import textwrap

COLUMNS = ("ours", "bare", "Lua", "Lua+LRU", "auth_request", "HAProxy")
WIDTH = 160                      # that a terminal should have


@dataclasses.dataclass
class Line:
    """`values`: by column, numbers or text. `goal` says what ours is to be, `limit` is the number that this comes to now; `met`:
    None where there is nothing to say."""
    what: str
    values: dict
    goal: str = ""
    limit: float | None = None
    met: bool | None = None
    digits: int = 2


def at_most(what, values, limit, digits=2, goal=None):
    """A line whose goal is ours <= limit."""
    return Line(what, values, goal or f"≤ {number(limit, digits)}", limit, values["ours"] <= limit, digits)


def at_least(what, values, limit, digits=2, goal=None):
    """A line whose goal is ours >= limit."""
    return Line(what, values, goal or f"≥ {number(limit, digits)}", limit, values["ours"] >= limit, digits)


def number(value, digits):
    return value if isinstance(value, str) else f"{value:,.{digits}f}"


def render(groups):
    """groups: (title, lines, notes) each; the table as text."""
    head = ("", *COLUMNS, "goal", "limit", "met")
    rows = [cells(line) for _, lines, _ in groups for line in lines]
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    text = [layout(head, widths), "─" * (sum(widths) + 2 * len(widths) - 2)]
    for title, lines, _ in groups:
        text += [title, *(layout(cells(line), widths) for line in lines)]
    for title, _, notes in groups:
        text += [textwrap.fill(f"* {title}: {note}", WIDTH, subsequent_indent="  ") for note in notes]
    return "\n".join(text)


def cells(line):
    values = [number(line.values[name], line.digits) if name in line.values else "" for name in COLUMNS]
    limit = "" if line.limit is None else number(line.limit, line.digits)
    return (f"  {line.what}", *values, line.goal, limit, {True: "yes", False: "NO", None: ""}[line.met])


def layout(row, widths):
    """Words to the left of their column, figures to the right."""
    first, *figures, goal, limit, met = row
    middle = "  ".join(cell.rjust(width) for cell, width in zip(figures, widths[1:]))
    return f"{first.ljust(widths[0])}  {middle}  {goal.ljust(widths[-3])}  {limit.rjust(widths[-2])}  {met}".rstrip()
