"""Findings: what is wrong or will be, the gravest first, each with what to do about it.

Rules of this file: a severity is a word as well as a colour; a command stands on a
line of its own and is never broken, so that it can be copied; what could not look
is told, and without a finding it is told how many rules could.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from portroom.model.advice.findings.myths import Myth
from portroom.model.facts.answers import CRITICAL, INFO, SEVERITIES, WARNING, Finding, Findings
from portroom.model.facts.snapshot import NetnsId
from portroom.render import gaps, owners
from portroom.render.brief_findings import LOOKS
from portroom.render.changes import INDENT, MOST_NAMES, places
from portroom.render.document import as_json, as_json_lines
from portroom.render.flow import TIED, joined, paragraphs, wrap
from portroom.render.table import as_csv
from portroom.render.units import Style, number, paint, plural, printable

__all__ = ["Screen", "all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

NOUNS = {CRITICAL: ("critical", "critical"), WARNING: ("warning", "warnings"), INFO: ("info",) * 2}
"""One and several of a severity, where they are counted."""


class Found(NamedTuple):
    """One finding, the namespaces that have it, and their commands."""

    finding: Finding
    places: tuple[NetnsId, ...]
    commands: tuple[str, ...]


class Screen:
    """The screen of `portroom doctor`: myths that were asked about, then the findings."""

    def __init__(self, myths: Sequence[Myth] = ()) -> None:
        """Keep the myths that are told before the findings; data have no place for them."""
        self.myths = tuple(myths)

    def as_text(self, answer: Findings, style: Style) -> str:
        """Return the myths and the findings of one namespace."""
        return self.all_as_text([answer], style)

    def all_as_text(self, answers: Sequence[Findings], style: Style) -> str:
        """Return the myths and the findings of one or several namespaces."""
        told = [line for one in self.myths for line in (*myth_lines(one, style), "")]
        return "".join(f"{line}\n" for line in told) + all_as_text(answers, style)

    def as_csv_text(self, answers: Sequence[Findings]) -> str:
        """Return a line a finding of each namespace."""
        return as_csv_text(answers)

    def as_json(self, answer: Findings) -> str:
        """Return one answer as a JSON object."""
        return as_json(answer)

    def as_jsonl(self, answer: Findings) -> str:
        """Return a line a finding."""
        return as_jsonl(answer)


def myth_lines(myth: Myth, style: Style) -> list[str]:
    """Return a myth refused: how it is, what they say, why not, and what to do instead."""
    lines = [paint(line, "yellow", style) for line in wrap(f"{myth.title}.", style)]
    lines += wrap(f'They say: "{myth.claim}"', style, indent=INDENT, hang=INDENT)
    lines += wrap(myth.truth, style, indent=INDENT, hang=INDENT)
    return lines + advice_lines(f"Instead: {myth.instead}", [myth.command], myth.page, style)


def myth_sentence(myth: Myth) -> str:
    """Return a myth refused, in one line, for a format that has no place for it."""
    return f"{myth.title}. {myth.truth} Instead: {myth.instead} ({myth.page})"


def as_text(answer: Findings, style: Style) -> str:
    """Return the findings of one namespace."""
    return all_as_text([answer], style)


def all_as_text(answers: Sequence[Findings], style: Style) -> str:
    """Return the findings of one or several namespaces, those that are alike once."""
    found = together(answers)
    named = len(answers) > 1
    sections = [headline(found, answers, style)]
    sections += [finding_lines(one, style, named=named) for one in found]
    sections.append(_unchecked(answers, style) if found else [])
    sections.append(gaps.footer(answers, style))
    return "\n".join(paragraphs(sections)) + "\n"


def together(answers: Sequence[Findings]) -> list[Found]:
    """Return what was found, the gravest first, what several namespaces share once."""
    groups: dict[tuple[str, str, str, str], list[tuple[NetnsId, Finding]]] = {}
    for answer in answers:
        for one in answer.findings:
            alike = (one.severity, one.name, one.evidence, one.remedy)
            groups.setdefault(alike, []).append((answer.netns, one))
    found = [
        Found(
            group[0][1],
            tuple(dict.fromkeys(netns for netns, _ in group)),
            tuple(dict.fromkeys(one.command for _, one in group if one.command)),
        )
        for group in groups.values()
    ]
    return sorted(found, key=lambda one: SEVERITIES.index(one.finding.severity))


def headline(found: Sequence[Found], answers: Sequence[Findings], style: Style) -> list[str]:
    """Return how many findings there are and how grave, or that there is none."""
    if found:
        counts = [(sum(one.finding.severity == name for one in found), name) for name in SEVERITIES]
        words = [plural(count, *NOUNS[name]) for count, name in counts if count]
        where = f" in {plural(len(answers), 'namespace')}" if len(answers) > 1 else ""
        text = f"{plural(len(found), 'finding')}{where}: {joined(words)}."
        look = LOOKS[found[0].finding.severity]
    else:
        text, look = f"{_nothing(answers)}.", "yellow" if _names(answers, "unchecked") else "green"
    return [paint(line, look, style) for line in wrap(text, style)]


def _nothing(answers: Sequence[Findings]) -> str:
    """Return that nothing was found, how many rules looked, and which did not see all."""
    missed, looked = _names(answers, "unchecked"), _names(answers, "checked")
    nowhere = [name for name in missed if name not in looked]
    partly = [name for name in missed if name in looked]
    text = f"No finding; {plural(len(looked) - len(partly), 'rule')} looked"
    if nowhere:
        needs = "it needs" if len(nowhere) == 1 else "they need"
        text += f", {number(len(nowhere))} could not see what {needs}: {joined(nowhere)}"
    if partly:
        text += f", {number(len(partly))} not in every namespace: {joined(partly)}"
    return text


def _names(answers: Sequence[Findings], field: str) -> list[str]:
    """Return the rules that any answer has in a field, each once."""
    return list(dict.fromkeys(name for answer in answers for name in getattr(answer, field)))


def finding_lines(found: Found, style: Style, *, named: bool = False) -> list[str]:
    """
    Return one finding: evidence, remedy, the command alone on its line, the page.

    Args:
        found: The finding and where it is.
        style: Its width holds but for commands; ``wide`` adds owners.
        named: Whether the namespaces are to be named.
    """
    one = found.finding
    where = f" in {places([netns.name for netns in found.places])}" if named else ""
    head = f"{one.severity.capitalize()}{where}: {one.name}: {printable(one.evidence)}"
    lines = [paint(line, LOOKS[one.severity], style) for line in wrap(head, style, hang=INDENT)]
    if style.wide and one.owners:
        names = joined([owners.identity(owner) for owner in one.owners])
        lines += wrap(f"Processes: {names}.", style, indent=INDENT, hang=INDENT)
    return lines + advice_lines(one.remedy, found.commands, one.page, style)


def advice_lines(
    remedy: str, commands: Sequence[str], page: str, style: Style, indent: str = INDENT
) -> list[str]:
    """Return what to do, each command on a line of its own, and the page that tells more."""
    lines = wrap(printable(remedy), style, indent=indent, hang=indent) if remedy else []
    shown = commands if style.wide else commands[:MOST_NAMES]
    lines += [indent + INDENT + printable(command) for command in shown]
    if len(commands) > len(shown):
        more = f"{number(len(commands) - len(shown))} more: -o{TIED}wide shows all."
        lines += wrap(more, style, indent=indent + INDENT, hang=indent + INDENT)
    if page:
        lines.append(paint(f"{indent}{printable(page)}", "dim", style))
    return lines


def _unchecked(answers: Sequence[Findings], style: Style) -> list[str]:
    """Return which rules did not see all that they need; the gaps below say why."""
    missed = _names(answers, "unchecked")
    if not missed:
        return []
    lines = wrap(f"Not checked in full: {joined(missed)}.", style, hang=INDENT)
    return [paint(line, "yellow", style) for line in lines]


CSV_COLUMNS = ("netns", "severity", "name", "evidence", "remedy", "command", "page")


def as_csv_text(answers: Sequence[Findings]) -> str:
    """Return a line a finding of each namespace."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[Findings]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each finding."""
    for answer in answers:
        for one in answer.findings:
            yield answer.netns.name, *(getattr(one, name) for name in CSV_COLUMNS[1:])


def as_jsonl(answer: Findings) -> str:
    """Return a line a finding."""
    return as_json_lines(answer, answer.findings)
