"""What docs/hazards.md lists, and which tests say that they cover a number of it. Reads files and runs nothing.

    # Hazards: N23, U1       among the first lines of t/NAME.t: that test
    // Hazards: R13          in the first comment of a file in tests/: all its cases; in the comment above a TEST: that case
"""
import collections
import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / "docs" / "hazards.md"
NUMBERS = re.compile(r"[A-Z]\d+(, [A-Z]\d+)*")
NONE = "none of the list"                  # a header that says so, and where else the behaviour is asked for
MARK = re.compile(r"\*\*(Due with [^*]+?|Does not apply|Does not apply in part)[.:]\*\* ?")


@dataclasses.dataclass
class Hazard:
    number: str
    scenario: str
    remarks: dict                          # what stands in bold before it → sentence (empty: all of the number is meant)

    def left_out(self):
        """Why nothing has to be tested: a sentence, or None where something has to be."""
        for mark, sentence in self.remarks.items():
            if mark == "Does not apply" or not sentence:
                return f"{mark.lower()}{': ' if sentence else ''}{sentence}"
        return None

    def applies(self):
        return "Does not apply" not in self.remarks

    def parts_left_out(self):
        return [f"{mark.lower()}: {sentence}" for mark, sentence in self.remarks.items() if sentence]


@dataclasses.dataclass(frozen=True, order=True)
class Case:
    """A test: a file of t/, or one TEST of a file in tests/."""
    file: str
    name: str = ""                         # Suite.Name; empty for a file of t/


@dataclasses.dataclass
class Headers:
    covering: dict                         # number → {Case}
    mistakes: list                         # headers that nobody can read, as "file:line: what is wrong"


def hazards():
    """All numbers, in the order of the list: {number: Hazard}."""
    rows = re.findall(r"^\| ([A-Z]\d+) \| (.*?) \| (.*) \|$", LIST.read_text(encoding="utf-8"), re.M)
    found = {}
    for number, scenario, expected in rows:
        if number in found:
            raise ValueError(f"{LIST}: {number} is there twice")
        _, *marks = MARK.split(expected)
        found[number] = Hazard(number, scenario, dict(zip(marks[::2], (text.strip() for text in marks[1::2]))))
    return found


def _read_header(line, prefix, where, headers):
    """The numbers of a line that begins with `prefix`."""
    said = line.removeprefix(prefix).strip()
    if said.startswith(NONE):
        return []
    if not NUMBERS.fullmatch(said):
        headers.mistakes.append(f"{where}: write {prefix} R3, N1, and nothing else in that line")
        return []
    return said.split(", ")


def _end_to_end(path, headers):
    file = str(path.relative_to(ROOT))
    for index, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("#"):
            return
        if line.startswith("# Hazards:"):
            for number in _read_header(line, "# Hazards:", f"{file}:{index}", headers):
                headers.covering[number].add(Case(file))


def _unit(path, headers):
    file, lines = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8").splitlines()
    cases, pending, of_file, first_comment = [], [], [], True
    for index, line in enumerate(lines, 1):
        where = f"{file}:{index}"
        if line.startswith("// Hazards:"):
            (of_file if first_comment else pending).extend(
                (number, where) for number in _read_header(line, "// Hazards:", where, headers))
        elif re.match(r"\s*// [PNRGSCVXDU]\d{1,2}\b", line):
            headers.mistakes.append(f"{where}: write // Hazards: before the numbers")
        elif match := re.match(r"TEST(?:_F|_P)?\((\w+), (\w+)\)", line):
            cases.append(Case(file, f"{match[1]}.{match[2]}"))
            for number, _ in pending:
                headers.covering[number].add(cases[-1])
            pending = []
        elif pending and not line.startswith("//"):
            headers.mistakes.append(f"{pending[0][1]}: stands neither in the file's first comment nor above a TEST")
            pending = []
        first_comment = first_comment and line.startswith("//")
    for number, where in of_file:
        if not cases:
            headers.mistakes.append(f"{where}: the file has no TEST")
        headers.covering[number].update(cases)


def headers():
    """Who covers what, in all of t/ and tests/."""
    found = Headers(collections.defaultdict(set), [])
    for path in sorted((ROOT / "t").glob("*.t")):
        _end_to_end(path, found)
    for path in sorted((ROOT / "tests").glob("*/*_test.cpp")):
        _unit(path, found)
    return found


def mistakes(listed, found):
    """What is wrong with list and headers together, a sentence each: numbers that do not exist, numbers that nobody covers."""
    wrong = list(found.mistakes)
    for number, cases in found.covering.items():
        if number not in listed:
            wrong += [f"{case.file}: {number} is not in docs/hazards.md" for case in sorted(cases)]
    for hazard in listed.values():
        if hazard.left_out() is None and hazard.number not in found.covering:
            wrong.append(f"{hazard.number}: no test names it, and docs/hazards.md does not say why ({hazard.scenario})")
    return wrong
