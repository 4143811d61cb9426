"""The report: one paste in Markdown, that reads as plain text, too.

Rules of this file:

- each section is a screen of portroom in a block of its own, as its command shows it;
- whose it is and what was not seen is told once, at the end, not below every screen;
- a block cannot be ended by what stands in it, so hostile text stays text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from portroom.model.facts.answers import Answer
from portroom.model.facts.features import YES, FeatureTold
from portroom.model.facts.gaps import Gap
from portroom.model.facts.report import ChangeMade, Counted, Limits, Report, SystemSeen
from portroom.render import boot, failures, features, findings, gaps, headroom, settings, status
from portroom.render.document import as_json
from portroom.render.flow import wrap
from portroom.render.table import Column, Row, as_table
from portroom.render.units import Style, duration, instant, number, percent, printable

__all__ = ["as_json", "as_markdown"]

WIDTH = 120
"""Columns of the blocks: what fits into an issue without scrolling, or nearly."""

Screen = Callable[..., str]


def as_markdown(answer: Report, style: Style) -> str:
    """
    Return the report for an issue, a mail or a chat.

    Args:
        answer: The report.
        style: Only whether it is ASCII alone counts: a paste has neither colours nor a height.
    """
    look = Style(width=WIDTH, ascii=style.ascii)
    parts = [f"# portroom report of {_code(printable(answer.host))}\n", *_heading(answer)]
    for title, text in _sections(answer, look):
        parts.append(f"\n## {title}\n\n{block(text)}")
    return "".join(parts)


def block(text: str) -> str:
    r"""
    Return a text as a block that nothing in it ends.

    >>> block("a ``` b\n").splitlines()[0]
    '````text'
    """
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}\n"


def _heading(answer: Report) -> Iterator[str]:
    """Yield whose and when it is, as a list."""
    name = printable(answer.netns.name)
    yield f"\n- namespace {_code(name)}, {instant(answer.taken_at)}\n"
    yield f"- portroom {_code(answer.version)}{_system(answer.system)}\n"
    if answer.redacted:
        yield "- redacted: addresses, names and ids are replaced; every number is as it was\n"


def _system(seen: SystemSeen | None) -> str:
    """Return what runs there; a saved Snapshot does not hold it."""
    if seen is None:
        return ", from a saved Snapshot"
    words = [f"{seen.kernel} {seen.architecture}", seen.distribution, f"Python {seen.python}"]
    text = "".join(f", {_code(printable(word))}" for word in words if word)
    return text if seen.uptime_s is None else f"{text}, up {duration(seen.uptime_s)}"


def _code(text: str) -> str:
    """
    Return a text as code in a line, whatever it holds.

    >>> _code("a`b")
    '`` a`b ``'
    """
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _sections(answer: Report, style: Style) -> Iterator[tuple[str, str]]:
    """Yield the title and the text of each section that has something to say."""
    yield "Status", _bare(status, answer.status, style)
    yield "Destinations, the tightest first", _bare(headroom, answer.headroom, style)
    yield "Findings", _bare(findings, answer.findings, style)
    yield "Settings", "\n".join(settings.table_lines(answer.settings, style))
    yield "Next boot", _bare(boot, answer.boot, style)
    if answer.limits is not None:
        yield "Limits", "\n".join(_limits(answer.limits, style))
    if answer.counted is not None:
        yield "Counted by the kernel", "\n".join(_counted(answer.counted, style))
    if answer.failures is not None:
        yield "Failures", _bare(failures, answer.failures, style)
    if answer.changes:
        yield "Changes, the latest first", "\n".join(_changes(answer.changes, style))
    yield "What this kernel can tell", "\n".join(_features(answer, style))
    if lines := gaps.as_lines(_every_gap(answer), style):
        yield "What was not seen", "\n".join(lines)


def _bare(screen: object, answer: Answer, style: Style) -> str:
    """Return a screen without its footer: gaps, whose and when it is are told once."""
    as_text: Screen = screen.as_text  # type: ignore[attr-defined]
    text = as_text(answer, style).rstrip("\n")
    for footer in (gaps.footer([answer], style), gaps.signature([answer], style)):
        text = text.removesuffix("\n".join(footer)).rstrip("\n")
    return text


def _every_gap(answer: Report) -> list[Gap]:
    """
    Return all gaps of all answers, those that differ in what they affect alone once.

    That the status does not run every rule is none here: the findings do.
    """
    inside = (answer.status, answer.headroom, answer.settings, answer.boot, answer.findings)
    every = [*answer.gaps, *(gap for one in inside for gap in one.gaps), *answer.features.gaps]
    if answer.failures is not None:
        every += answer.failures.gaps
    told = {(gap.source, gap.reason): gap for gap in every if gap.source != "findings"}
    return list(told.values())


LIMIT_COLUMNS = (
    Column("LIMIT"),
    Column("USED", right=True),
    Column("OF", right=True),
    Column("SHARE", right=True),
)


def _limits(limits: Limits, style: Style) -> list[str]:
    """Return a line a limit; one that does not apply, or was not read, has dashes."""
    known = [
        ("tracked connections", limits.conntrack_used, limits.conntrack_max),
        ("pages of TCP memory", limits.tcp_memory_pages, limits.tcp_memory_max_pages),
        ("open files of the system", limits.files_used, limits.files_max),
    ]
    known += [
        (f"open files of {printable(one.owner.command)}({one.owner.pid})", one.used, one.limit)
        for one in limits.open_files
    ]
    return as_table(LIMIT_COLUMNS, [_limit(*one) for one in known], style)


def _limit(name: str, used: int | None, most: int | None) -> Row:
    """Return the cells of one limit."""
    share = percent(used / most) if used is not None and most else "-"
    return name, number(used), number(most), share


COUNT_COLUMNS = (
    Column("EVENTS"),
    Column("SINCE THE NAMESPACE WAS MADE", right=True),
    Column("MEANWHILE", right=True),
)

EVENTS = {
    "active_opens": "connects",
    "time_wait_reused": "TIME_WAITs that a connect took",
    "time_wait_overflow": "connections without TIME_WAIT, for want of room",
    "listen_overflows": "handshakes that a full accept queue refused",
    "listen_drops": "handshakes that were dropped",
}

CONNTRACK_EVENTS = {
    "insert_failed": "tracked connections that could not be entered",
    "dropped": "packets that tracking dropped",
    "early_dropped": "tracked connections given up for new ones",
}


def _counted(counted: Counted, style: Style) -> list[str]:
    """Return a line a counter: its sum, and by how much it rose between both readings."""
    rows: list[Row] = []
    for words, before, after in (
        (EVENTS, counted.before, counted.after),
        (CONNTRACK_EVENTS, counted.conntrack_before, counted.conntrack_after),
    ):
        for name, text in words.items():
            first, last = getattr(before, name, None), getattr(after, name, None)
            risen = None if first is None or last is None else last - first
            rows.append((text, number(last), number(risen)))
    lines = as_table(COUNT_COLUMNS, rows, style)
    return [*lines, *wrap(f"Meanwhile is {duration(counted.after_s)}.", style)]


CHANGE_COLUMNS = (
    Column("NO", right=True),
    Column("WHEN (UTC)"),
    Column("WHO"),
    Column("WHAT", least=16),
    Column("OUTCOME"),
)


def _changes(changes: Sequence[ChangeMade], style: Style) -> list[str]:
    """Return a line a change; a redacted one names the settings instead of the words."""
    rows: list[Row] = [
        (
            str(one.number),
            f"{one.at:%Y-%m-%d %H:%M}",
            printable(one.who) or "-",
            printable(f"{one.action} {' '.join(one.words or one.settings)}"),
            one.phase,
        )
        for one in changes
    ]
    return as_table(CHANGE_COLUMNS, rows, style)


def _features(answer: Report, style: Style) -> list[str]:
    """Return how many features there are, and each that there is not or that is not known."""
    told = [one for one in answer.features.features if one.answer != YES]
    return [*features.headline(answer.features, style), *(_feature(one) for one in told)]


def _feature(told: FeatureTold) -> str:
    """Return one feature in a line."""
    detail = f" ({printable(told.detail)})" if told.detail else ""
    return f"{told.answer:<7} {told.name}: {told.title}{detail}"
