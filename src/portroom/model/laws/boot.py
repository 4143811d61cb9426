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
from typing import NamedTuple

from portroom.model.facts.sysctl_files import (
    ENDLESS,
    FILE,
    LARGE,
    SUFFIX,
    SYSCTL_CONF,
    UNSEEN,
    SysctlFile,
    SysctlTree,
    Unseen,
)
from portroom.model.laws.acceptance import KNOWN, write_once, write_whole
from portroom.model.laws.dialects import Dialect
from portroom.model.laws.sysctl_lines import (
    Assignment,
    expand_braces,
    is_pattern,
    led_to,
    matches,
    meant,
    parse_line,
    split_lines,
    with_slashes,
)

APPLIED = "applied"
OVERRIDDEN = "overridden"
MASKED = "masked"
REFUSED = "refused"
EXCLUDED = "excluded"
BROKEN = "broken"
UNREAD = "unread"
UNCHECKED = "unchecked"

OUTCOMES = (APPLIED, OVERRIDDEN, MASKED, REFUSED, EXCLUDED, BROKEN, UNREAD, UNCHECKED)
"""What may become of a line; each has its section in docs/reference/outcomes.md."""


class Place(NamedTuple):
    """A line of a file, counted from 1 as editors do; 0 is the file as a whole."""

    path: bytes
    line: int


class Fate(NamedTuple):
    """
    What became of a line for one sysctl.

    ``by`` is the line, or the file, that the outcome comes from; ``reason``
    says more, as a clause.
    """

    outcome: str
    by: Place | None = None
    reason: str = ""


class Candidate(NamedTuple):
    """A line that names a sysctl; ``value`` is None for one that only excludes."""

    place: Place
    value: bytes | None
    fate: Fate


class Verdict(NamedTuple):
    """
    What a program leaves in one sysctl.

    ``value`` is the text that the kernel holds then, None where no line decides.
    Candidates stand as the program reads them, those that it never reads last.
    """

    key: str
    value: str | None
    winner: Place | None
    candidates: tuple[Candidate, ...] = ()


class Booted(NamedTuple):
    """
    What one program did: a verdict for each key, and what every sysctl holds.

    ``unseen`` tells what the program reads and portroom could not.
    """

    verdicts: tuple[Verdict, ...]
    state: dict[str, str]
    unseen: tuple[Unseen, ...] = ()

    def verdict(self, key: str) -> Verdict:
        """Return the verdict on one key."""
        return next(verdict for verdict in self.verdicts if verdict.key == key)


class _Reading(NamedTuple):
    """A file, and the fate of its lines if the program does not read it."""

    file: SysctlFile
    fate: Fate | None = None


class _Line(NamedTuple):
    """
    A line that names a sysctl that matters, by itself or by a pattern.

    ``goal`` is what a person means by it, ``taken`` what the program takes it
    for; ``fate`` is set if it is known before anything is written.
    """

    place: Place
    goal: bytes
    taken: Assignment
    fate: Fate | None = None


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
    readings = list(_readings(tree, rules))
    lines = [line for reading in readings for line in _lines(reading, rules, paths)]
    writer = _Writer(rules, paths, state)
    writer.write([line for line in lines if line.fate is None])
    verdicts = tuple(_verdict(path, lines, writer) for path in paths)
    hidden = [one.file for one in readings if one.fate is None and one.file.kind in UNSEEN]
    unseen = (*tree.unseen, *(Unseen(file.path, _why_unseen(file, rules)) for file in hidden))
    return Booted(verdicts, writer.held, unseen)


def _verdict(path: bytes, lines: Sequence[_Line], writer: _Writer) -> Verdict:
    """Return the verdict on one sysctl, after all was written."""
    key = writer.paths[path]
    winner = writer.winners.get(path)
    candidates = [
        Candidate(line.place, line.taken.value, writer.fate(path, line))
        for line in lines
        if _names(line.goal, path)
    ]
    value = writer.held[key] if winner else None
    return Verdict(key, value, winner.place if winner else None, tuple(candidates))


def _names(goal: bytes, path: bytes) -> bool:
    """Say whether a line means a sysctl, by its path or by a pattern."""
    if not is_pattern(goal):
        return goal == path
    return any(matches(pattern, path) for pattern in expand_braces(goal))


def _why_unseen(file: SysctlFile, rules: Dialect) -> str:
    """Return why the content of a file that the program reads is not known."""
    if file.kind in ENDLESS:
        return f"is a {file.kind}: {rules.program} would wait for it or read it without end"
    if file.kind == LARGE:
        return "is too large to be read here"
    return "may not be read"


# Which files a program reads, in which order.


def _readings(tree: SysctlTree, rules: Dialect) -> Iterator[_Reading]:
    """Yield the files as the program reads them, then those that it does not."""
    chosen: dict[bytes, SysctlFile] = {}
    unread = []
    for file in sorted(tree.files, key=lambda file: _rank(file, rules)):
        fate = _fate_of_file(file, chosen, rules)
        if fate:
            unread.append(_Reading(file, fate))
        elif file.directory in rules.directories:
            chosen[file.name] = file
    for name in sorted(chosen):
        yield from map(_Reading, _expanded(chosen[name], tree, rules))
    yield from (_Reading(file) for file in tree.files if _is_read_last(file, rules))
    yield from unread


def _rank(file: SysctlFile, rules: Dialect) -> int:
    """Return the place of a file's directory in the order of the program."""
    known = file.directory in rules.directories
    return rules.directories.index(file.directory) if known else len(rules.directories)


def _is_read_last(file: SysctlFile, rules: Dialect) -> bool:
    """Say whether the program reads a file after all directories."""
    if file.path == SYSCTL_CONF:
        return rules.last_file == SYSCTL_CONF
    return rules.reads_credential and _is_credential(file)


def _is_credential(file: SysctlFile) -> bool:
    """Say whether a file is the credential for systemd-sysctl."""
    return file.path != SYSCTL_CONF and not file.directory.endswith(b"/sysctl.d")


def _fate_of_file(
    file: SysctlFile, chosen: Mapping[bytes, SysctlFile], rules: Dialect
) -> Fate | None:
    """Return why the program does not read a file, None if it does."""
    if _is_read_last(file, rules):
        return None
    reason = _why_unread(file, rules)
    if reason:
        return Fate(UNREAD, None, reason)
    if file.name not in chosen:
        return None
    other = chosen[file.name]
    how = f", a {other.kind}" if other.kind != FILE else "" if other.content else ", an empty file"
    return Fate(MASKED, Place(other.path, 0), f"the same name in an earlier directory{how}")


def _why_unread(file: SysctlFile, rules: Dialect) -> str:
    """Return why the program passes over a file, empty if it does not."""
    if file.directory not in rules.directories:
        return f"{rules.name} does not read {_what(file)}"
    if not file.name.endswith(SUFFIX):
        return "the name does not end in .conf"
    if file.name.startswith(b".") and not rules.reads_hidden:
        return f"{rules.program} does not read hidden files"
    return f"it is a {file.kind}" if file.kind in rules.hides_nothing else ""


def _what(file: SysctlFile) -> str:
    """Return what a file that is never read is, in words."""
    if file.path == SYSCTL_CONF:
        return "/etc/sysctl.conf"
    return "credentials" if _is_credential(file) else file.directory.decode()


def _expanded(file: SysctlFile, tree: SysctlTree, rules: Dialect) -> list[SysctlFile]:
    """Return the files that the name of a file stands for: itself, or as a pattern."""
    special = any(character in b"*?[{\\" for character in file.name)
    if not (rules.expands_file_names and special):
        return [file]
    beside = [other for other in tree.files if other.directory == file.directory]
    found = [
        other
        for pattern in expand_braces(file.name)
        for other in beside
        if matches(pattern, other.name)
    ]
    return found or [file]


# Which lines matter, and what the program takes them for.


def _lines(reading: _Reading, rules: Dialect, paths: Mapping[bytes, str]) -> Iterator[_Line]:
    """Yield the lines of a file that name one of the sysctls."""
    content = reading.file.content
    tails = {path.rpartition(b"/")[2] for path in paths}
    if not any(tail in content for tail in tails) and not is_pattern(content):
        return
    fate = reading.fate
    for number, line in split_lines(content, rules.line_ends):
        place = Place(reading.file.path, number)
        if rules.longest_line_bytes and len(line) >= rules.longest_line_bytes and fate is None:
            fate = Fate(UNREAD, place, f"a line of {len(line)} bytes ends the file")
        goal = meant(line)
        if goal in paths or is_pattern(goal):
            yield _line(place, goal, line, fate, rules)


def _line(place: Place, goal: bytes, line: bytes, fate: Fate | None, rules: Dialect) -> _Line:
    """Return a line with what the program takes it for."""
    taken = parse_line(line, rules)
    if fate is None and taken.problem:
        fate = Fate(BROKEN, None, taken.problem)
    return _Line(place, goal, taken, fate)


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
                self.settled[line] = Fate(APPLIED, None, "keeps the key from being set")
            elif is_pattern(line.taken.key):
                self._write_pattern(line, explicit)
            else:
                path = led_to(line.taken.key, self.rules, self.existing)
                if path is not None and path in self.paths:
                    self._write_one(line, path)

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
        for pattern in expand_braces(key) if self.rules.expands_braces else [key]:
            for path in self.existing:
                if not matches(pattern, path):
                    continue
                other = explicit.get(path)
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
        write = write_whole if self.rules.goes_on_after_short_write else write_once
        written = write(key, data, self.held)
        if written.refusal:
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
