"""Settings: the values first, then what each does and what it does not.

Rules of this file: a value is written as it would be typed, without thousands
separated; that a value is not the kernel's, or is lost at the next boot, is a
word as well as a colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.answers import Drift, RangeEnds, SettingsAnswer, SettingState
from portroom.model.facts.boot_lines import BootCandidate
from portroom.render import gaps
from portroom.render.document import as_json, as_json_lines
from portroom.render.drift import drift_sentences
from portroom.render.flow import wrap
from portroom.render.table import Cell, Column, Row, as_csv, as_table
from portroom.render.units import Style, in_sentence, instant, paint, printable

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

COLUMNS = (
    Column("NAME", least=26, middle=True),
    Column("CURRENT", least=12, middle=True),
    Column("PERSISTED", least=12, middle=True, drop=1),
    Column("DEFAULT", least=12, middle=True, drop=2),
    Column("STATE"),
    Column("SCOPE", drop=3),
    Column("UNIT", least=5, drop=4),
)

WIDE_COLUMNS = (
    *COLUMNS,
    Column("KEY"),
    Column("WHAT IT DOES"),
    Column("WHAT IT DOES NOT"),
)

LINE_COLUMNS = (
    Column("NAME"),
    Column("LINE"),
    Column("VALUE"),
    Column("OUTCOME"),
    Column("BY"),
    Column("WHY"),
)

Value = int | str | RangeEnds | None


def as_text(answer: SettingsAnswer, style: Style) -> str:
    """Return the settings of one namespace; wide is one line a setting."""
    if style.wide:
        rows = [(*_row(state), *_words(state)) for state in answer.settings]
        lines = [*as_table(WIDE_COLUMNS, rows, style), *candidate_lines(answer, style)]
        return "\n".join([*lines, *gaps.as_lines(answer.gaps, style)]) + "\n"
    lines = table_lines(answer, style)
    for state in answer.settings:
        lines += ["", *explanation(state, style), *_next_boot(state, style)]
    lines += ["", *gaps.as_lines(answer.gaps, style)]
    name = printable(answer.netns.name)
    where = f"{printable(answer.host)}, namespace {name}, {instant(answer.taken_at)}"
    lines += [paint(line, "dim", style) for line in wrap(where, style)]
    return "\n".join(lines) + "\n"


def table_lines(answer: SettingsAnswer, style: Style) -> list[str]:
    """Return the values alone, a line a setting."""
    return as_table(COLUMNS, [_row(state) for state in answer.settings], style)


def all_as_text(answers: Sequence[SettingsAnswer], style: Style) -> str:
    """
    Return one line a namespace: its range, and what is not alike in all of them.

    A setting that every namespace has at the kernel's default is left out, and
    so is one that reaches the whole system.
    """
    names = _telling(answers)
    heading = [Column("NETNS", least=9, middle=True)]
    heading += [Column(name.upper(), least=11, middle=True) for name in names]
    rows: list[Row] = []
    for answer in answers:
        found = {state.name: state for state in answer.settings}
        cells = [_current(found[name]) for name in names]
        rows.append([printable(answer.netns.name), *cells])
    every_gap = [gap for answer in answers for gap in answer.gaps]
    lines = [*as_table(heading, rows, style), *_drifts(answers, style)]
    lines += gaps.as_lines(every_gap, style)
    return "\n".join(lines) + "\n"


def _drifts(answers: Sequence[SettingsAnswer], style: Style) -> list[str]:
    """Return a sentence for each namespace in which settings drift."""
    lines = []
    for answer in answers:
        drift = [
            Drift(
                state.name,
                value_text(state.current),
                value_text(state.default if state.persisted is None else state.persisted),
                state.persisted_at.file if state.persisted_at else None,
                state.persisted_at.line if state.persisted_at else None,
            )
            for state in answer.settings
            if state.drift
        ]
        for text in drift_sentences(drift, style, f" in {printable(answer.netns.name)}"):
            lines += wrap(text, style, hang="  ")
    return [paint(line, "yellow", style) for line in lines]


def candidate_lines(answer: SettingsAnswer, style: Style) -> list[str]:
    """Return a table of every line that names a setting, and what becomes of it at boot."""
    rows = [(state.name, line) for state in answer.settings for line in state.candidates]
    if not rows:
        return []
    return ["", *as_table(LINE_COLUMNS, [_line(name, line) for name, line in rows], style)]


def _line(name: str, line: BootCandidate) -> Row:
    """Return the cells of one line of a sysctl file."""
    by = line.by
    return (
        name,
        printable(f"{line.file}:{line.line}"),
        "-" if line.value is None else printable(line.value),
        Cell(line.outcome, "green" if line.outcome == "applied" else ""),
        printable(by.file + (f":{by.line}" if by.line else "")) if by else "",
        printable(line.reason),
    )


def _next_boot(state: SettingState, style: Style) -> list[str]:
    """Return what the next boot gives a setting, where that is more than the default."""
    at, look = state.persisted_at, "yellow" if state.drift else ""
    if at is not None:
        value = in_sentence(value_text(state.persisted), style)
        text = f"Next boot: {value}, by {printable(at.file)}:{at.line}."
    elif state.drift:
        value = in_sentence(value_text(state.default), style)
        text = f"Next boot: {value}, the kernel's default: no line sets it."
    else:
        return []
    return [paint(line, look, style) for line in wrap(text, style, indent="  ", hang="  ")]


def explanation(state: SettingState, style: Style) -> list[str]:
    """Return what a setting does and what it does not, as two paragraphs."""
    return [
        f"{paint(state.name, 'bold', style)} ({state.key})",
        *wrap(state.meaning, style, indent="  ", hang="  "),
        *wrap(state.does_not, style, indent="  ", hang="  "),
    ]


LOOKS = {"changed": "yellow", "drift": "yellow"}
"""Words of ``difference`` that have a colour."""


def value_text(value: Value, missing: str = "-") -> str:
    """
    Return a value as it would be typed.

    >>> value_text(RangeEnds(32768, 60999)), value_text("80,443"), value_text("")
    ('32768-60999', '80,443', 'none')
    """
    if value is None:
        return missing
    if isinstance(value, RangeEnds):
        return f"{value.first}-{value.last}"
    return "none" if value == "" else str(value)


def difference(state: SettingState) -> str:
    """Return in a word how the value stands to the next boot, or else to the default."""
    if state.current is None:
        return "absent"
    if state.drift:
        return "drift"
    if state.default is None:
        return ""
    return "default" if state.current == state.default else "changed"


def _current(state: SettingState) -> Cell:
    """Return the value now, in the colour of its difference."""
    return Cell(value_text(state.current), LOOKS.get(difference(state), ""))


def _persisted(state: SettingState) -> str:
    """Return what the next boot gives; where no line decides the default, marked so."""
    if state.persisted_at is not None:
        return value_text(state.persisted)
    return "-" if state.drift is None else "default"


def _row(state: SettingState) -> tuple[str | Cell, ...]:
    """Return the cells of one setting."""
    word = difference(state)
    return (
        Cell(state.name, "bold"),
        _current(state),
        _persisted(state),
        value_text(state.default, "by machine"),
        Cell(word, LOOKS.get(word, "")),
        state.scope,
        state.unit,
    )


def _words(state: SettingState) -> tuple[str, str, str]:
    """Return the cells that only wide shows."""
    return state.key, state.meaning, state.does_not


def _telling(answers: Sequence[SettingsAnswer]) -> list[str]:
    """Return the range and the names whose values are not alike, or changed."""
    values: dict[str, set[str]] = {}
    for answer in answers:
        for state in answer.settings:
            if state.scope == "namespace":
                seen = values.setdefault(state.name, set())
                seen.add(value_text(state.current))
                if difference(state) in LOOKS:
                    seen.add(value_text(state.default))
    return [name for name, seen in values.items() if name == "range" or len(seen) > 1]


CSV_COLUMNS = (
    "netns",
    "name",
    "key",
    "current",
    "default",
    "persisted",
    "persisted_file",
    "persisted_line",
    "drift",
    "unit",
    "scope",
    "meaning",
    "does_not",
)


def as_csv_text(answers: Sequence[SettingsAnswer]) -> str:
    """Return a line a setting of each namespace; what is not known is empty."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[SettingsAnswer]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each setting."""
    for answer in answers:
        for state in answer.settings:
            at = state.persisted_at
            yield (
                answer.netns.name,
                state.name,
                state.key,
                _csv_value(state.current),
                _csv_value(state.default),
                _csv_value(state.persisted),
                at.file if at else None,
                at.line if at else None,
                state.drift,
                state.unit,
                state.scope,
                state.meaning,
                state.does_not,
            )


def _csv_value(value: Value) -> object:
    """Return a value for a field; an empty set of ports is empty text."""
    return value_text(value) if isinstance(value, RangeEnds) else value


def as_jsonl(answer: SettingsAnswer) -> str:
    """Return one line a setting, each with the header of the answer."""
    return as_json_lines(answer, answer.settings)
