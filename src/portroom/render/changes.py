"""What a change writes, in words: values before and after, steps, files, where.

Rules of this file: a value is written as it would be typed; a list of ports too
long for its place is told by what comes and what goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from portroom.errors import InvalidRequestError
from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.change import (
    PERSIST,
    PERSIST_ONLY,
    FileStep,
    Request,
    SettingChange,
    SettingStep,
    Step,
    file_steps,
)
from portroom.model.facts.ports import PortSet
from portroom.model.facts.settings import SETTINGS, ValueType, parse_value, setting_named
from portroom.model.laws.setting_states import answer_value
from portroom.render.flow import joined, wrap
from portroom.render.table import Cell, Column, Row, as_table
from portroom.render.units import Style, columns, in_sentence, paint, plural, printable

INDENT = "  "

LONGEST_RANGE = len("10000-65535")
"""Columns of a range: what is agreed to is told whole."""

MOST_NAMES = 3
"""Namespaces that a sentence names; of more it tells how many."""

OPTIONS = {PERSIST: "--persist", PERSIST_ONLY: "--persist-only"}

STEP_COLUMNS = (
    Column("STEP", right=True),
    Column("WHERE", least=8),
    Column("WRITES", least=20, middle=True),
    Column("BEFORE", least=12, middle=True),
    Column("AFTER", least=12, middle=True),
)

LISTS = frozenset(row.name for row in SETTINGS if row.type is ValueType.PORTS)
"""Settings that hold a list of ports."""

Value = int | str | RangeEnds


def value_text(value: Value) -> str:
    """
    Return a value as it would be typed.

    >>> value_text(RangeEnds(15000, 64001)), value_text(""), value_text(1)
    ('15000-64001', 'none', '1')
    """
    if isinstance(value, RangeEnds):
        return f"{value.first}-{value.last}"
    return "none" if value == "" else printable(str(value))


def arrow(style: Style) -> str:
    """Return what stands between old and new."""
    return "->" if style.ascii else "→"


def change_lines(
    changes: Sequence[SettingChange], style: Style, *, indent: str = "", titles: Sequence[str] = ()
) -> list[str]:
    """
    Return a line a setting, from its old value to the new one.

    Args:
        changes: In the order in which they are told.
        style: Its width holds.
        indent: What each line begins with.
        titles: Headings of the old and the new value; none leaves headings out.
    """
    if not changes:
        return []
    old, new = titles or ("", "")
    heading = (
        Column("SETTING" if titles else "", least=12, middle=True),
        Column(old, least=LONGEST_RANGE, middle=True, firm=True),
        Column(""),
        Column(new, least=LONGEST_RANGE, middle=True, firm=True),
    )
    lines = as_table(heading, [_row(one, style) for one in changes], style, indent)
    lines = lines if titles else lines[1:]
    for one in changes:
        lines += _ports_that_differ(one, style, indent)
    return lines


def _row(change: SettingChange, style: Style) -> Row:
    """Return the cells of one setting."""
    name, before = Cell(printable(change.name), "bold"), value_text(change.before)
    return name, before, arrow(style), value_text(change.after)


def _ports_that_differ(change: SettingChange, style: Style, indent: str) -> list[str]:
    """Return what comes and goes in a list of ports, where both lists say it badly."""
    before, after = change.before, change.after
    if not (isinstance(before, str) and isinstance(after, str) and before and after):
        return []
    if change.name not in LISTS:
        return []
    old, new = set(PortSet.parse(before)), set(PortSet.parse(after))
    parts = [
        f"{in_sentence(str(PortSet.of(ports)), style)} {word}"
        for ports, word in ((new - old, "added"), (old - new, "dropped"))
        if ports
    ]
    text = f"{printable(change.name)}: {joined(parts)}."
    return wrap(text, style, indent=indent + INDENT, hang=indent + INDENT) if parts else []


class Written(NamedTuple):
    """A change of one setting, and the names of the network namespaces it is made in."""

    change: SettingChange
    names: tuple[str, ...]


def written(steps: Sequence[Step]) -> list[Written]:
    """Return what steps write to settings; what several namespaces get alike, once."""
    found: dict[SettingChange, list[str]] = {}
    for step in steps:
        if isinstance(step, SettingStep):
            found.setdefault(_change_of(step), []).append(printable(step.netns.name))
    return [Written(change, tuple(names)) for change, names in found.items()]


def _change_of(step: SettingStep) -> SettingChange:
    """Return what a step writes, typed; as it stands where this version does not know it."""
    try:
        row = setting_named(step.key)
        before, after = (answer_value(parse_value(row.type, t)) for t in (step.before, step.after))
    except (InvalidRequestError, ValueError):
        return SettingChange(step.key, step.key, step.before, step.after)
    return SettingChange(row.name, row.key, before, after)


def written_lines(steps: Sequence[Step], style: Style, indent: str = "") -> list[str]:
    """
    Return a line for each setting and each file that steps write.

    Where not all namespaces get the same, those that do stand together below
    their names.
    """
    lines = []
    for names, changes in _groups(steps).items():
        inner = indent + INDENT if names else indent
        lines += wrap(f"{places(names)}:", style, indent=indent, hang=inner) if names else []
        lines += change_lines(changes, style, indent=inner)
    for step in steps:
        if isinstance(step, FileStep):
            lines += wrap(file_text(step), style, indent=indent, hang=indent)
    return lines


def _groups(steps: Sequence[Step]) -> dict[tuple[str, ...], list[SettingChange]]:
    """Return changes by the names of the namespaces that get them, () for all."""
    told, every = written(steps), len(namespaces_of(steps))
    alike = all(len(one.names) == every for one in told)
    groups: dict[tuple[str, ...], list[SettingChange]] = {}
    for one in told:
        groups.setdefault(() if alike else one.names, []).append(one.change)
    return groups


def places(names: Sequence[str]) -> str:
    """Return some namespaces in few words."""
    if len(names) <= MOST_NAMES:
        return joined([printable(name) for name in names])
    return plural(len(names), "namespace")


def options_text(request: Request) -> str:
    """
    Return a request as it was typed, but for the name of the program.

    >>> options_text(Request(("range=15000-64001",), PERSIST, trial_s=120))
    'range=15000-64001 --persist --try-for 120s'
    """
    words = [printable(word) for word in request.words]
    words += [OPTIONS[request.where]] if request.where in OPTIONS else []
    words += [f"--try-for {request.trial_s}s"] if request.trial_s else []
    words += [name for name, given in _flags(request) if given]
    return " ".join(words)


def _flags(request: Request) -> tuple[tuple[str, bool], ...]:
    """Return the options without a value, and whether they were given."""
    return ("--reserve", request.reserve), ("--force", request.force)


def namespaces_of(steps: Sequence[Step]) -> list[str]:
    """Return the names of the network namespaces that steps write to, each once."""
    found = {
        step.netns.cookie or step.netns.inode: printable(step.netns.name)
        for step in steps
        if isinstance(step, SettingStep)
    }
    return list(found.values())


def files_of(steps: Sequence[Step]) -> list[str]:
    """Return the paths of the files that steps write."""
    return [printable(step.path) for step in file_steps(steps)]


def where_text(steps: Sequence[Step]) -> str:
    """Return in few words where steps write: namespaces, and the next boot."""
    names = namespaces_of(steps)
    words = names if len(names) <= MOST_NAMES else [plural(len(names), "namespace")]
    return ", ".join([*words, *(["boot"] if files_of(steps) else [])])


def step_lines(steps: Sequence[Step], style: Style) -> list[str]:
    """Return a table of all steps in the order of writing, and below what the files hold."""
    if not steps:
        return []
    rows = [_step(number, step) for number, step in enumerate(steps, 1)]
    lines = as_table(STEP_COLUMNS, rows, style)
    for step in steps:
        if isinstance(step, FileStep):
            lines += _content(step, style)
    return lines


def _step(number: int, step: Step) -> Row:
    """Return the cells of one step."""
    if isinstance(step, FileStep):
        before = "none" if step.before is None else f"{len(step.before.content)} bytes"
        after = "removed" if step.after is None else f"{len(step.after.content)} bytes"
        return str(number), "file", printable(step.path), before, after
    name, key = printable(step.netns.name), printable(step.key)
    return str(number), name, key, value_text(step.before), value_text(step.after)


def _content(step: FileStep, style: Style) -> list[str]:
    """Return the lines that a file will hold."""
    if step.after is None:
        return []
    text = step.after.content.decode("utf-8", "surrogateescape")
    head = f"{printable(step.path)}, mode {step.after.mode:04o}:"
    body = [f"{INDENT}{printable(line)}".rstrip() for line in text.splitlines()]
    return ["", paint(head, "bold", style), *body]


def file_text(step: FileStep) -> str:
    """Return what becomes of a file."""
    if step.after is None:
        return f"{printable(step.path)} is removed"
    return f"{printable(step.path)} is {'made' if step.before is None else 'replaced'}"


def fits(text: str, style: Style) -> bool:
    """Say whether a text fits into one line."""
    return not style.width or style.wide or columns(text) <= style.width
