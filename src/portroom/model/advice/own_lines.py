"""The text of portroom's own sysctl file: which lines are replaced, and by what.

Rules of this file:

- a line goes only if some boot program takes it for one of the settings that are
  set; every other line stays byte by byte, also those made by hand;
- what portroom writes is ASCII, and a comment is one line whatever it quotes.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from portroom.model.facts.settings import SETTINGS
from portroom.model.laws.dialects import PROGRAMS, dialect
from portroom.model.laws.patterns import is_pattern
from portroom.model.laws.sysctl_lines import led_to, meant, parse_line, with_slashes

HEADER = b"""\
# This file is written by portroom: it holds what was set with `portroom set --persist`.
# `portroom undo` takes the last change back, `portroom boot` tells which line decides.
# Lines that you add stay, unless portroom is told to set the same.
"""

MARK = b"# portroom: "
"""How the comment begins that goes together with the line below it."""

LONGEST_WORDS = 200
"""Characters of what was typed that a comment repeats."""

NAMES = {setting.key: setting.name for setting in SETTINGS}

RULES = tuple(dialect(program) for program in PROGRAMS)


class Note(NamedTuple):
    """
    What the comment of a setting says of the change.

    Args:
        at: When, aware.
        by: Who, ``alice`` or ``root (alice)``; hostile text.
        why: The words that were typed; hostile text.
    """

    at: datetime.datetime
    by: str
    why: str


def with_settings(content: bytes, settings: Mapping[str, str], note: Note) -> bytes:
    """
    Return the text of a file that sets sysctls, in place of what it said of them.

    Args:
        content: Of the file, empty for a new one.
        settings: Canonical text by sysctl, in the order of the lines.
        note: What the comments say.

    >>> note = Note(datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "alice", "a reason")
    >>> print(with_settings(b"vm.swappiness = 1", {"net.ipv4.tcp_tw_reuse": "1"}, note).decode())
    vm.swappiness = 1
    # portroom: tcp_tw_reuse, 2026-01-02T00:00:00Z, by alice: a reason
    net.ipv4.tcp_tw_reuse = 1
    <BLANKLINE>
    """
    kept = without_settings(content, settings) or HEADER
    if not kept.endswith(b"\n"):
        kept += b"\n"
    at = note.at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return kept + b"".join(
        MARK
        + _plain(f"{NAMES.get(key, key)}, {at}, by {note.by}: {note.why}")
        + f"\n{key} = {text}".rstrip().encode()
        + b"\n"
        for key, text in settings.items()
    )


def without_settings(content: bytes, keys: Collection[str]) -> bytes:
    r"""
    Return a text without the lines that set sysctls, and without portroom's comments on these.

    >>> without_settings(b"a.b = 1\n-net/ipv4/tcp_tw_reuse=1\n", ["net.ipv4.tcp_tw_reuse"])
    b'a.b = 1\n'
    """
    paths = {with_slashes(key.encode()) for key in keys}
    kept: list[bytes] = []
    for line in content.splitlines(keepends=True):
        if not paths.isdisjoint(_set_by(line, paths)):
            if kept and kept[-1].startswith(MARK):
                kept.pop()
            continue
        kept.append(line)
    return b"".join(kept)


def says_nothing(content: bytes) -> bool:
    """Say whether a text holds nothing but what portroom begins a file with."""
    return content.strip() in {b"", HEADER.strip()}


def _set_by(line: bytes, paths: Collection[bytes]) -> Iterator[bytes]:
    """Yield the paths of the sysctls that a line sets, for a person or for some program."""
    goal = meant(line)
    if not goal or b"=" not in line:
        return
    yield goal
    for rules in RULES:
        taken = parse_line(line.rstrip(b"\r\n"), rules)
        if taken.value is not None and not is_pattern(taken.key):
            yield led_to(taken.key, rules, paths) or b""


def _plain(text: str) -> bytes:
    """Return hostile text as one line of plain ASCII, cut if it is long."""
    shown = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    shown = shown if len(shown) <= LONGEST_WORDS else f"{shown[:LONGEST_WORDS]}..."
    return shown.encode("ascii", "backslashreplace")
