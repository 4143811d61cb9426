"""The lines that name one sysctl at boot, each with what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from portroom.model.facts.answers import FileLine
from portroom.model.facts.boot_answer import Boot, BootKey, BootOther
from portroom.model.facts.boot_lines import BootCandidate
from portroom.model.laws.boot_notes import PROGRAM_NAMES
from portroom.model.laws.next_boot import KERNEL
from portroom.model.laws.outcomes import APPLIED, BROKEN, REFUSED, UNCHECKED
from portroom.render.flow import wrap
from portroom.render.units import Style, columns, cut, in_sentence, paint, plural, printable

MOST_CANDIDATES = 10
"""Lines that are told of one sysctl unless wide; the rest is a number."""

LONGEST_VALUE = 24
"""Columns of a line's value unless wide."""
INDENT = "    "

BY_KERNEL = "kernel default"

LOOKS = {APPLIED: "green", UNCHECKED: "green", REFUSED: "red", BROKEN: "red"}

READERS = {KERNEL: "the kernel's command line", **PROGRAM_NAMES}


def details(one: BootKey, answer: Boot, style: Style) -> list[str]:
    """Return every line that names a sysctl with its outcome, and how programs differ."""
    lines = _title(one, style)
    told = _told(one, style)
    width = max((columns(_value(line, style)) for line in told), default=0)
    by_reader = groupby(told, key=lambda line: line.program)
    for reader, some in by_reader:
        if {line.program for line in one.candidates} != {answer.program}:
            lines += flow(f"{READERS.get(reader, reader)}:", style, indent="  ")
        for line in some:
            lines += _candidate(line, width, style)
    if left := len(one.candidates) - len(told):
        lines += flow(f"and {plural(left, 'line')} more: -o wide tells all.", style, indent="  ")
    if one.programs_differ:
        others = "; ".join(_other(name, other, style) for name, other in one.others.items())
        lines += flow(f"Programs differ: {others}.", style, indent="  ", hang="    ")
    return lines


def _title(one: BootKey, style: Style) -> list[str]:
    """Return the name and the key of a sysctl, once where they are the same."""
    name = printable(one.name)
    key = "" if one.name == one.key else f" ({printable(one.key)})"
    first, *others = flow(name + key, style, hang="  ")
    shown = name if first.startswith(name) else first
    return [paint(shown, "bold", style) + first[len(shown) :], *others]


def _told(one: BootKey, style: Style) -> Sequence[BootCandidate]:
    """Return the lines that are told: all, or the one that decides and those before it."""
    if style.wide or len(one.candidates) <= MOST_CANDIDATES:
        return one.candidates
    decides = [place for place, line in enumerate(one.candidates) if line.outcome == APPLIED]
    last = max(decides, default=MOST_CANDIDATES - 1) + 1
    return one.candidates[max(0, last - MOST_CANDIDATES) : max(last, MOST_CANDIDATES)]


def _candidate(line: BootCandidate, width: int, style: Style) -> list[str]:
    """Return the lines of text that tell of one line: outcome, value, place and why."""
    value = _value(line, style)
    after = f"{' ' * (10 - len(line.outcome))}  {value}{' ' * (width - columns(value))}"
    head = f"  {paint(line.outcome, LOOKS.get(line.outcome, ''), style)}{after}"
    taken = 2 + len(line.outcome) + columns(after) + 2
    is_narrow = bool(style.width) and not style.wide and taken * 2 > style.width
    hang = INDENT if is_narrow else " " * taken
    text = f"{printable(line.file)}:{line.line}"
    if line.by is not None:
        text += f", by {printable(line.by.file)}"
        text += f":{line.by.line}" if line.by.line else ""
    if line.reason:
        text += f": {printable(line.reason)}"
    told = flow(text, style, indent=hang, hang=hang)
    told += _remedy(line, hang, style)
    if is_narrow:
        return [head.rstrip(), *told]
    return [f"{head}  {told[0][taken:]}", *told[1:]]


def _remedy(line: BootCandidate, hang: str, style: Style) -> list[str]:
    """Return what to do about a line; further left where a word of it would be cut."""
    if not line.remedy:
        return []
    text = printable(line.remedy)
    longest = max(map(columns, text.split(" ")))
    if style.width and len(hang) + longest > style.width:
        hang = INDENT
    return flow(text, style, indent=hang, hang=hang)


def _value(line: BootCandidate, style: Style) -> str:
    """Return the value of a line, cut unless wide; a dash for one that gives none."""
    if line.value is None:
        return "-"
    text = printable(line.value) or '""'
    return text if style.wide else cut(text, LONGEST_VALUE, style)


def _other(name: str, other: BootOther, style: Style) -> str:
    """Return what another program would leave, and which line decides there."""
    who = PROGRAM_NAMES.get(name, name)
    if other.winner is None:
        return f"{who} leaves the {BY_KERNEL}"
    return f"{who} leaves {in_sentence(other.value, style)}, by {place_of(other.winner)}"


def text_of(value: str | None) -> str:
    """Return a value for people: a dash where there is none, a word for an empty one."""
    return "-" if value is None else printable(value) or "none"


def place_of(place: FileLine) -> str:
    """Return a line of a file as ``PATH:LINE``."""
    return f"{printable(place.file)}:{place.line}"


def flow(text: str, style: Style, indent: str = "", hang: str = "") -> list[str]:
    """Return the lines of a paragraph; a path too long for a line is cut, unless wide."""
    if style.width and not style.wide:
        room = max(style.width - max(len(indent), len(hang)), 8)
        text = " ".join(cut(word, room, style, middle=True) for word in text.split(" "))
    return wrap(text, style, indent=indent, hang=hang)
