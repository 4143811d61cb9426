"""The rules of alerts: what is told, from when on, and whom.

Rules of this file: how grave a rule is, is a word as well as a colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.alert_rules import AlertRules, AlertRuleTold
from portroom.model.facts.answers import CRITICAL, INFO, WARNING
from portroom.render import gaps
from portroom.render.document import as_json, as_json_lines
from portroom.render.flow import joined, wrap
from portroom.render.table import Cell, Column, Row, as_csv, as_table
from portroom.render.units import Style, duration, plural, printable

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

LOOKS = {CRITICAL: "red", WARNING: "yellow", INFO: "dim"}

COLUMNS = (
    Column("ALERT"),
    Column("SEVERITY"),
    Column("SENT"),
    Column("FOR", drop=1),
    Column("WHEN", least=20),
)

WIDE_COLUMNS = (*COLUMNS, Column("PROMETHEUS"), Column("PAGE"))


def as_text(answer: AlertRules, style: Style) -> str:
    """Return a line a rule, and where alerts go."""
    heading = WIDE_COLUMNS if style.wide else COLUMNS
    rows = [_wide(one) if style.wide else _row(one) for one in answer.rules]
    lines = as_table(heading, rows, style)
    lines += ["", *wrap(_where(answer), style), "", *gaps.footer([answer], style)]
    return "\n".join(lines) + "\n"


def all_as_text(answers: Sequence[AlertRules], style: Style) -> str:
    """Return several answers; there is one alone."""
    return "".join(as_text(answer, style) for answer in answers)


def _row(rule: AlertRuleTold) -> Row:
    """Return the cells of one rule."""
    sent = "yes" if rule.is_sent else "no" if rule.is_on else "off"
    for_text = duration(rule.for_s) if rule.for_s else "at once"
    return rule.name, Cell(rule.severity, LOOKS[rule.severity]), sent, for_text, rule.when


def _wide(rule: AlertRuleTold) -> Row:
    """Return the cells of one rule, none left out."""
    return *_row(rule), rule.prometheus, rule.page


def _where(answer: AlertRules) -> str:
    """Return where alerts go."""
    if not answer.addresses:
        return "Nobody is notified: alerts.notify and alerts.notify_file name no address."
    kinds = joined([printable(kind) for kind in answer.addresses])
    number = plural(len(answer.addresses), "address", "addresses")
    return f"Sent to {number}: {kinds}. Try it: portroom alerts test."


CSV_COLUMNS = (
    "name",
    "severity",
    "is_on",
    "is_sent",
    "for_s",
    "when",
    "title",
    "prometheus",
    "page",
)


def as_csv_text(answers: Sequence[AlertRules]) -> str:
    """Return a line a rule."""
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def _csv_rows(answers: Sequence[AlertRules]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each rule."""
    for one in (rule for answer in answers for rule in answer.rules):
        yield tuple(getattr(one, name) for name in CSV_COLUMNS)


def as_jsonl(answer: AlertRules) -> str:
    """Return one line a rule, each with the header of the answer."""
    return as_json_lines(answer, answer.rules)
