"""Plans of several network namespaces: a line each, and below what is alike told once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portroom.model.facts.change import REFUSAL, WARNING, ChangePlan, Reason
from portroom.render import gaps
from portroom.render.changes import INDENT, LONGEST_RANGE, arrow, change_lines, places, value_text
from portroom.render.flow import paragraphs, wrap
from portroom.render.reasons import ranked, reason_lines
from portroom.render.table import Cell, Column, Row, as_table
from portroom.render.units import Style, cut, paint, plural, printable

COLUMNS = (
    Column("NETNS", least=9, middle=True),
    Column("SETTING", least=8, middle=True),
    Column("NOW", least=LONGEST_RANGE, middle=True, firm=True),
    Column(""),
    Column("THEN", least=LONGEST_RANGE, middle=True, firm=True),
    Column("STATE", least=9),
)

NARROWEST = 59
"""Columns that it takes: below that no value could be told whole, so names stand above values."""

MOST_REASONS = 10
"""Reasons that are told unless wide; of others it is said how many."""

MOST_LINES = 5
"""Lines that keep a setting of a container, told unless wide."""


def all_as_text(plans: Sequence[ChangePlan], style: Style) -> str:
    """Return one line a setting of each namespace, and the reasons below."""
    return "\n".join([*all_plans_lines(plans, style), "", *gaps.signature(plans, style)]) + "\n"


def all_plans_lines(plans: Sequence[ChangePlan], style: Style) -> list[str]:
    """Return all of some plans but whose and when they are."""
    return paragraphs(
        [
            wrap(_headline(plans), style),
            _values(plans, style),
            _reasons(plans, style),
            _durable(plans, style),
            gaps.as_lines([gap for plan in plans for gap in plan.gaps], style),
        ]
    )


def _headline(plans: Sequence[ChangePlan]) -> str:
    """Return how many namespaces change, and how many are refused."""
    changing = [plan for plan in plans if plan.steps and not plan.refusals]
    refused = [plan for plan in plans if plan.refusals]
    text = f"{len(changing):,} of {plural(len(plans), 'network namespace')} to change"
    return text + (f", {len(refused):,} refused: none is changed." if refused else ".")


def _values(plans: Sequence[ChangePlan], style: Style) -> list[str]:
    """Return what changes in each namespace: where there is room a table, else below its name."""
    if style.wide or not style.width or style.width >= NARROWEST:
        return as_table(COLUMNS, [row for plan in plans for row in _rows(plan, style)], style)
    lines = []
    for plan in plans:
        state = _state(plan)
        name = cut(printable(plan.netns.name), style.width - len(INDENT), style, middle=True)
        named = wrap(f"{name}: {state.text}", style, hang=INDENT)
        lines += [paint(line, state.look, style) for line in named]
        lines += change_lines(plan.changes, style, indent=INDENT)
    return lines


def _rows(plan: ChangePlan, style: Style) -> Iterator[Row]:
    """Yield the cells of each setting of one namespace."""
    name, state = printable(plan.netns.name), _state(plan)
    if not plan.changes:
        yield name, "", "", "", "", state
    for one in plan.changes:
        before, after = value_text(one.before), value_text(one.after)
        yield name, printable(one.name), before, arrow(style), after, state
        # The namespace and its state stand in its first line alone.
        name, state = "", Cell("")


def _state(plan: ChangePlan) -> Cell:
    """Return in a word how a plan stands."""
    if plan.refusals:
        return Cell("refused", "red")
    if not plan.steps:
        return Cell("unchanged", "dim")
    warned = any(one.severity == WARNING for one in plan.reasons)
    return Cell("warning", "yellow") if warned else Cell("to change", "green")


def _reasons(plans: Sequence[ChangePlan], style: Style) -> list[str]:
    """Return each refusal and warning once, with the namespaces it is about."""
    found: dict[Reason, list[str]] = {}
    for plan in plans:
        for reason in plan.reasons:
            if style.wide or reason.severity in {REFUSAL, WARNING}:
                found.setdefault(reason, []).append(plan.netns.name)
    order = ranked(list(found))
    shown = order if style.wide else order[:MOST_REASONS]
    lines = []
    for reason in shown:
        lines += reason_lines(reason, style, f" in {places(found[reason])}")
    left = len(order) - len(shown)
    return lines + (wrap(f"and {left:,} more: -o wide tells all.", style) if left else [])


def _durable(plans: Sequence[ChangePlan], style: Style) -> list[str]:
    """Return the lines that keep settings of containers and pods, each once."""
    every = list(dict.fromkeys(line for plan in plans for line in plan.durable))
    if not every:
        return []
    shown = every if style.wide else every[:MOST_LINES]
    text = "A value written into a running container or pod dies with it. To keep it:"
    lines = [*wrap(text, style), *(INDENT + printable(line) for line in shown)]
    left = len(every) - len(shown)
    return lines + (wrap(f"and {left:,} more: -o wide tells all.", style) if left else [])
