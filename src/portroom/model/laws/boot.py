"""Boot: which line decides a setting, for each program that applies sysctl files.

Rules of this file:

- a program is a row of ``dialects``; here stands what all of them do: order the
  files, take the lines, write in order;
- what the kernel makes of a write is asked of ``acceptance``;
- every line that names a key gets an outcome, also one that is never read.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from portroom.model.facts.sysctl_files import UNSEEN, SysctlTree, Unseen
from portroom.model.laws.acceptance import KNOWN, Written, write_in_pieces, write_once, write_whole
from portroom.model.laws.dialects import EXCLUDES, GOES_ON, REMOVES, SPLITS, Dialect
from portroom.model.laws.file_order import Reading, readings, why_unseen
from portroom.model.laws.outcomes import (
    APPLIED,
    BROKEN,
    EXCLUDED,
    OVERRIDDEN,
    REFUSED,
    UNCHECKED,
    UNREAD,
    Booted,
    Candidate,
    Fate,
    Place,
    Verdict,
)
from portroom.model.laws.patterns import (
    PATTERN_MARKS,
    expand_braces,
    is_meant_for_many,
    is_pattern,
    matches,
    stands_for_many,
)
from portroom.model.laws.sysctl_lines import (
    Assignment,
    found_by,
    led_to,
    meant,
    parse_line,
    split_lines,
    with_slashes,
)

MOST_LINES = 10_000
"""Lines that name one of the sysctls; more are not followed, to answer within a second."""

NOTHING = Assignment(b"", None, "it is empty, or a comment")

KEEPS = {REMOVES: "keeps the key from being set", EXCLUDES: "keeps patterns away from the key"}
"""What a line "-KEY" does in the end."""

WRITERS = {GOES_ON: write_whole, SPLITS: write_in_pieces}
"""How programs write that do not stop after one write."""


class _Line(NamedTuple):
    """
    A line that names a sysctl that matters, by itself or by a pattern.

    ``order`` tells lines apart that stand at one place, as lone CRs make them, or
    in a file that is read twice. ``goal`` is what a person means by the line,
    ``taken`` what the program takes it for; ``fate`` is set if it is known before
    anything is written. ``is_many`` says that the goal is a pattern, or has braces.
    """

    order: int
    place: Place
    goal: bytes
    taken: Assignment
    fate: Fate | None = None
    is_many: bool = False


def boot(tree: SysctlTree, rules: Dialect, keys: Sequence[str], state: Mapping[str, str]) -> Booted:
    """
    Return what a program makes of all files.

    Args:
        tree: The files.
        rules: Of the program.
        keys: The sysctls to judge, dotted. Those that ``acceptance`` knows should
            be named together, because the kernel judges some by others.
        state: What each sysctl holds before; one without an entry does not exist.
    """
    paths = {with_slashes(key.encode("utf-8", "surrogateescape")): key for key in keys}
    read = list(readings(tree, rules))
    found = (line for reading in read for line in _lines(reading, rules, paths))
    first = list(islice(found, MOST_LINES + 1))
    lines = [line._replace(order=order) for order, line in enumerate(first[:MOST_LINES])]
    writer = _Writer(rules, paths, state)
    writer.write([line for line in lines if line.fate is None])
    verdicts = tuple(_verdict(path, lines, writer) for path in paths)
    unseen = [*tree.unseen, *_unseen(read, rules), *_unfollowed(lines, rules)]
    if len(first) > MOST_LINES:
        unseen.append(Unseen(first[-1].place.path, f"has lines behind the first {MOST_LINES}"))
    return Booted(verdicts, writer.held, tuple(unseen))


def _unseen(read: Sequence[Reading], rules: Dialect) -> Iterator[Unseen]:
    """Yield each file that the program reads, of which not all is known here."""
    for file, fate, doubt in read:
        if fate is None and file.kind in UNSEEN:
            yield Unseen(file.path, why_unseen(file, rules))
        elif doubt:
            yield Unseen(file.path, doubt)


def _unfollowed(lines: Sequence[_Line], rules: Dialect) -> Iterator[Unseen]:
    """Yield each line that the program takes for more sysctls than are tried here."""
    for line in lines:
        if rules.expands_braces and line.fate is None and stands_for_many(line.taken.key):
            reason = f"has braces in line {line.place.line} that stand for too many keys"
            yield Unseen(line.place.path, reason)


def _verdict(path: bytes, lines: Sequence[_Line], writer: _Writer) -> Verdict:
    """Return the verdict on one sysctl, after all was written."""
    key = writer.paths[path]
    winner = writer.winners.get(path)
    # A file may be read twice, by its own name and by a name that is a pattern: what
    # becomes of a line is what becomes of it the last time.
    candidates = {
        (line.place, line.taken): Candidate(line.place, line.taken.value, writer.fate(path, line))
        for line in lines
        if _names(line, path) or (line, path) in writer.fates
    }
    value = writer.held[key] if winner else None
    return Verdict(key, value, winner.place if winner else None, tuple(candidates.values()))


def _names(line: _Line, path: bytes) -> bool:
    """Say whether a line means a sysctl, by its path or by a pattern."""
    if not line.is_many:
        return line.goal == path
    return any(matches(pattern, path) for pattern in expand_braces(line.goal))


# Which lines matter, and what the program takes them for.


def _lines(reading: Reading, rules: Dialect, paths: Mapping[bytes, str]) -> Iterator[_Line]:
    """Yield the lines of a file that name one of the sysctls."""
    content = reading.file.content
    words = (*{path.rpartition(b"/")[2] for path in paths}, *PATTERN_MARKS, b"{")
    if not any(word in content for word in words):
        return
    fate, too_long = reading.fate, rules.longest_line_bytes or len(content) + 1
    for number, line in split_lines(content, rules.line_ends):
        if fate is None and len(line) >= too_long:
            place = Place(reading.file.path, number)
            fate = Fate(UNREAD, place, f"a line of {len(line)} bytes ends the file")
        if any(word in line for word in words):
            one = _line(Place(reading.file.path, number), line, fate, rules)
            known = led_to(one.taken.key, rules, paths) in paths
            if known or one.goal in paths or one.is_many:
                yield one


def _line(place: Place, line: bytes, fate: Fate | None, rules: Dialect) -> _Line:
    """Return a line with what the program takes it for."""
    goal = meant(line)
    taken = parse_line(line, rules) if goal else NOTHING
    if fate is None and taken.problem:
        fate = Fate(BROKEN, None, taken.problem)
    return _Line(0, place, goal, taken, fate, is_meant_for_many(goal))


# What is written, in which order, and what the kernel makes of it.


class _Writer:
    """A program at work: it writes lines, and remembers what became of each."""

    def __init__(self, rules: Dialect, paths: Mapping[bytes, str], state: Mapping[str, str]):
        self.rules = rules
        self.paths = paths
        self.held = dict(state)
        self.existing = sorted(path for path, key in paths.items() if key in state)
        self.winners: dict[bytes, _Line] = {}
        self.fates: dict[tuple[_Line, bytes], Fate] = {}
        self.settled: dict[_Line, Fate] = {}

    def fate(self, path: bytes, line: _Line) -> Fate:
        """Return what became of a line for one sysctl."""
        known = line.fate or self.settled.get(line) or self.fates.get((line, path))
        if known:
            return known
        key = line.taken.key.decode("utf-8", "backslashreplace")
        return Fate(BROKEN, None, f"{self.rules.program} takes it for the key {key!r}")

    def write(self, lines: Sequence[_Line]) -> None:
        """Write all lines as the program does."""
        if self.rules.one_write_a_key:
            lines = self._last_of_each_key(lines)
        explicit = {line.taken.key: line for line in lines}
        for line in lines:
            if line.taken.value is None:
                self._keep_out(line)
            elif is_pattern(line.taken.key):
                self._write_pattern(line, explicit)
            else:
                path = led_to(line.taken.key, self.rules, self.existing)
                if path is not None and path in self.paths:
                    self._write_one(line, path)

    def _keep_out(self, line: _Line) -> None:
        """Note a line that only keeps a key from being set, if it is one of the sysctls."""
        key = line.taken.key
        if is_pattern(key) or led_to(key, self.rules, self.existing) in self.paths:
            self.settled[line] = Fate(APPLIED, None, KEEPS[self.rules.bare_minus])

    def _last_of_each_key(self, lines: Sequence[_Line]) -> list[_Line]:
        """
        Return the last line of each key, in the order of the writes.

        A line that says the same as the one before keeps its place.
        """
        options: dict[bytes, _Line] = {}
        for line in lines:
            before = options.get(line.taken.key)
            if before and before.taken.value != line.taken.value:
                del options[line.taken.key]
            options[line.taken.key] = line
        for line in lines:
            last = options[line.taken.key]
            if last is not line:
                outcome = EXCLUDED if last.taken.value is None else OVERRIDDEN
                self.settled[line] = Fate(outcome, last.place)
        return list(options.values())

    def _write_pattern(self, line: _Line, explicit: Mapping[bytes, _Line]) -> None:
        """Write each sysctl that a pattern matches and that no line names itself."""
        if not self.rules.expands_keys:
            reason = f"{self.rules.name} knows no patterns in keys"
            self.settled[line] = Fate(BROKEN, None, reason)
            return
        key = line.taken.key
        for pattern in expand_braces(key) if self.rules.expands_braces else (key,):
            for path in self.existing:
                spelling = found_by(pattern, path, self.rules, self.existing)
                if spelling is None:
                    continue
                other = explicit.get(spelling)
                if other is None:
                    self._write_one(line, path)
                else:
                    outcome = EXCLUDED if other.taken.value is None else OVERRIDDEN
                    self.fates[line, path] = Fate(outcome, other.place, "it names the key itself")

    def _write_one(self, line: _Line, path: bytes) -> None:
        """Write one sysctl, and note what the kernel made of it."""
        key, value = self.paths[path], line.taken.value or b""
        if path not in self.existing:
            self.fates[line, path] = Fate(REFUSED, None, "this kernel does not have it")
            return
        if key not in KNOWN:
            self._hold(line, path, value.decode("utf-8", "backslashreplace"), Fate(UNCHECKED))
            return
        data = value + b"\n" if self.rules.adds_newline else value
        write = WRITERS.get(self.rules.after_short_write, write_once)
        written: Written = write(key, data, self.held)
        if written.refusal and not written.consumed_bytes:
            self.fates[line, path] = Fate(REFUSED, None, written.reason)
        else:
            self._hold(line, path, written.value, Fate(APPLIED, None, written.reason))

    def _hold(self, line: _Line, path: bytes, value: str, fate: Fate) -> None:
        """Note a write that the kernel took."""
        self.held[self.paths[path]] = value
        before = self.winners.get(path)
        if before is not None:
            self.fates[before, path] = Fate(OVERRIDDEN, line.place)
        self.winners[path] = line
        self.fates[line, path] = fate
