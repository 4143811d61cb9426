"""Remedies: what to write instead of a line that does nothing, or not what it says.

Rules of this file:

- a text is proposed only if the kernel takes it, before all files as after
  them, and then holds the very numbers that stand in the line;
- where that is not sure, words say what the line should look like;
- a line that loses fairly to another one has no remedy.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from portroom.model.facts.ports import LAST_PORT, PortSet
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.acceptance import (
    KNOWN,
    ONE_WRITE_TAKES,
    RANGE_KEY,
    RESERVED_KEY,
    START_KEY,
    write_once,
)
from portroom.model.laws.file_order import HIDDEN, NAME_IS_PATTERN, NO_SUFFIX, SAME_NAME
from portroom.model.laws.outcomes import (
    APPLIED,
    BROKEN,
    EXCLUDED,
    MASKED,
    REFUSED,
    UNREAD,
    Fate,
    Place,
)
from portroom.model.laws.proc_parsers import INT_MIN
from portroom.model.laws.sysctl_lines import LEFT_OUT

LONGEST_PROPOSAL = 60
"""Characters of a value that a remedy repeats; words do for a longer one."""

LONGEST_TEXT = 1 << 13
"""Bytes of a value that is looked into."""

NUMBER = r"(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,20})"
ONE = NUMBER
TWO = rf"{NUMBER}(?:\s*[-,:;/]\s*|\s+|\s+to\s+){NUMBER}[,;]?"
RUN = rf"{NUMBER}(?:\s*[-:]\s*{NUMBER})?"
BETWEEN_RUNS = r"(?<!\s)\s*[,;]\s*|(?<![-:\s])\s+(?![-:\s])"
PLAIN = r"[0-9,\-\s]+"
COMMENT = r"(?s)\s[#;].*"
"""Texts, which are compiled when they are first needed: most hosts need none."""


class Line(NamedTuple):
    """
    A line that names a sysctl, and what is known of that sysctl.

    ``held`` is what it holds in the end, None where no line decides; ``state``
    is the same of every sysctl that exists.
    """

    key: str
    place: Place
    value: bytes | None
    fate: Fate
    held: str | None
    state: Mapping[str, str]


def remedy(line: Line) -> str:
    """
    Return in one sentence what to do about a line, empty if there is nothing.

    >>> state = {RESERVED_KEY: ""}
    >>> remedy(Line(RESERVED_KEY, Place(b"/x", 1), b"80, 90", Fate(REFUSED), None, state))
    'Write 80,90.'
    """
    rule = RULES.get(line.fate.outcome)
    return rule(line) if rule else ""


def _of_applied(line: Line) -> str:
    """Return what to write instead of a text that the kernel takes for something else."""
    if line.value is None or line.held is None or not line.fate.reason:
        return ""
    text = line.value.decode("utf-8", "replace").strip()
    if _is_as_written(line.key, text, line.held):
        return ""
    if sure := _proposal(line):
        return f"Write {sure}."
    if ONE_WRITE_TAKES in line.fate.reason:
        return "Shorten the list: runs such as 9000-9100 take less room."
    if line.key == RANGE_KEY and re.fullmatch(ONE, text):
        return f"Write both ends, as in {line.held}."
    shown_held = line.held if 0 < len(line.held) <= LONGEST_PROPOSAL else "it as the kernel has it"
    return f"Write {shown_held}, if that is meant."


def _is_as_written(key: str, text: str, held: str) -> bool:
    """Say whether a sysctl holds the plain decimal numbers that a text is made of."""
    return bool(re.fullmatch(PLAIN, text)) and numbers_of(key, text) == held


def _of_refused(line: Line) -> str:
    """Return what to write instead of a text that the kernel does not take."""
    reason = line.fate.reason
    if line.key not in line.state:
        return "Check the name; a module that brings it must be loaded before."
    sure = _proposal(line)
    if sure and sure.encode() != line.value:
        return f"Write {sure}."
    if line.key == RANGE_KEY and f"below {START_KEY}" in reason:
        return f"Lower {START_KEY} in a line above, or begin the range higher."
    if line.key == START_KEY and f"port of {RANGE_KEY}" in reason:
        return f"Raise {RANGE_KEY} in a line above, or write a lower port."
    return _shape(line.key)


def _shape(key: str) -> str:
    """Return in words what the kernel takes for a sysctl."""
    if key not in KNOWN:
        return ""
    if key == RESERVED_KEY:
        return f"Write ports up to {LAST_PORT}, such as 8080,9000-9100."
    if key == RANGE_KEY:
        return f"Write two ports from 1 to {LAST_PORT}, the lower one first."
    shape = KNOWN[key].shape
    if shape.lowest == INT_MIN:
        return "Write one number in plain digits."
    return f"Write one number from {shape.lowest} to {shape.highest}."


def _of_broken(line: Line) -> str:
    """Return the whole line as it should be."""
    if line.fate.reason.endswith(LEFT_OUT):
        return "Take the key out of that configuration."
    return f"Write {line.key} = {_proposal(line) or 'VALUE'}, and nothing else in that line."


def _of_excluded(line: Line) -> str:
    """Return which line to remove."""
    by = line.fate.by
    return f"Remove line {by.line} of {shown(by.path)}, if this one is meant." if by else ""


def _of_masked(line: Line) -> str:
    """Return which file to remove, or to merge this one into."""
    by = line.fate.by
    if by is None:
        return ""
    # What hides files without a line of its own, a link or an empty file, takes no line.
    if line.fate.reason != SAME_NAME:
        return f"Remove {shown(by.path)}, if this line is meant."
    return f"Move the line into {shown(by.path)}, or remove that file."


def _of_unread(line: Line) -> str:
    """Return where the line, or its file, should go."""
    path, reason = line.place.path, line.fate.reason
    name = posixpath.basename(path)
    if reason == NO_SUFFIX:
        return f"Rename it to {shown(name)}.conf."
    if reason.endswith(HIDDEN):
        return f"Rename it to {shown(name.lstrip(b'.'))}."
    if reason == NAME_IS_PATTERN:
        return "Rename it: letters, digits, dots and dashes, and .conf at the end."
    if line.fate.by is not None:
        where = f"line {line.fate.by.line} of " if line.fate.by.line else ""
        return f"Mend {where}{shown(line.fate.by.path)}: what stands behind is lost."
    return "Move the line to a file such as /etc/sysctl.d/90-ports.conf."


RULES: Mapping[str, Callable[[Line], str]] = {
    APPLIED: _of_applied,
    REFUSED: _of_refused,
    BROKEN: _of_broken,
    EXCLUDED: _of_excluded,
    MASKED: _of_masked,
    UNREAD: _of_unread,
}
"""What there is to do, by outcome; nothing for others."""


# A text to propose.


def _proposal(line: Line) -> str:
    """Return the numbers of a line as the kernel surely takes them, empty if that is not sure."""
    if line.value is None or line.key not in KNOWN or len(line.value) > LONGEST_TEXT:
        return ""
    text = numbers_of(line.key, line.value.decode("utf-8", "replace"))
    if not text or len(text) > LONGEST_PROPOSAL or line.key not in line.state:
        return ""
    first = {key: KNOWN[key].default or "" for key in line.state if key in KNOWN}
    for state in (first, line.state):
        written = write_once(line.key, text.encode(), state)
        if written.refusal or written.value != text:
            return ""
    return text


def numbers_of(key: str, text: str) -> str:
    """
    Return what the digits in a text say to a person, canonical; empty if that is not plain.

    Quotes and a comment behind do not count, nor do leading zeros.

    >>> numbers_of(RANGE_KEY, "'015000-64000'"), numbers_of(RESERVED_KEY, "81 80 # web")
    ('15000 64000', '80-81')
    >>> numbers_of(RANGE_KEY, "15000"), numbers_of("net.ipv4.tcp_fin_timeout", "1 min")
    ('', '')
    """
    bare = re.sub(COMMENT, "", text).strip(" \t\r\n\f\v\"'`=")
    if key == RESERVED_KEY:
        return _ports_of(bare)
    match = re.fullmatch(TWO if key == RANGE_KEY else ONE, bare)
    return " ".join(str(_number(word)) for word in match.groups()) if match else ""


def _ports_of(text: str) -> str:
    """Return a list of ports and runs, however they are divided."""
    runs = [re.fullmatch(RUN, part) for part in re.split(BETWEEN_RUNS, text.strip(",; "))]
    ends = [[_number(word) for word in run.groups() if word] for run in runs if run]
    if len(ends) < len(runs):
        return ""
    try:
        return str(PortSet.parse(",".join("-".join(map(str, run)) for run in ends)))
    except ValueError:
        return ""


def _number(word: str) -> int:
    """Return a number as a person reads it: decimal, unless it says that it is not."""
    return int(word, 16 if word[:2].lower() == "0x" else 10)
