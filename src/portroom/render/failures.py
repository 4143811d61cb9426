"""Failures: a line each as they come, and their counts at the end.

Rules of this file: a line stands for itself, its columns are set before the first
one comes; names come from processes and are hostile text; a cause is named as
`explain` names it, and told in words where there is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from portroom.model.advice.causes.table import CAUSES
from portroom.model.facts.failure import EXHAUSTION, Failure, FailureCount, FailureCounts
from portroom.model.facts.gaps import Gap
from portroom.model.facts.questions import WatchQuestion
from portroom.render import gaps
from portroom.render.document import as_json, as_json_lines
from portroom.render.flow import wrap
from portroom.render.table import BETWEEN, Cell, Column, as_csv, as_table, fit
from portroom.render.units import (
    Style,
    columns,
    cut,
    duration,
    endpoint,
    number,
    paint,
    plural,
    printable,
)

__all__ = ["all_as_text", "as_csv_text", "as_json", "as_jsonl", "as_text"]

UNKNOWN, UNREAD, NOTHING = "not known", "port not known", "-"

NOT_KNOWN = (
    "not known: the sockets showed no cause when they were looked at, just after. "
    "Look at what is there now: portroom explain {error} --pid PID"
)
UNREAD_BIND = (
    "not known (bind, EADDRINUSE): the port was read too late, or whoever held it is gone. "
    "Look at what is held now: portroom explain EADDRINUSE --pid PID"
)
"""What there is to do where the cause is not known."""

COLUMNS = (
    Column("TIME (UTC)"),
    Column("PROCESS", least=14, middle=True),
    Column("WHERE", least=10, drop=3),
    Column("FROM", least=9, middle=True, drop=4),
    Column("TO", least=16, middle=True),
    Column("CALL", drop=2),
    Column("ERROR"),
    Column("CAUSE", least=17, firm=True),
    Column("ADDRESS BY", drop=1),
)

USUAL = (
    "12:00:00.000",
    "gunicorn(1234567)",
    "gunicorn.service",
    "192.168.100.100",
    "192.168.100.100:65535",
    "connect",
    "EADDRNOTAVAIL",
    "port_held_by_outgoing",
    "",
)
"""What a column is as wide as: those that come are not known yet. IPv4 fits, IPv6 is cut."""

USUAL_WHERE = "pid:1234567 (gunicorn)"
"""As it stands where nothing is cut."""

WIDE_ONLY = "ADDRESS BY"

LONGEST_TITLE = max(map(len, (row.title for row in CAUSES.values())))


class Lines:
    """
    The lines of failures as they come, all fitted to one width.

    Args:
        style: Its width leaves columns out; ``wide`` cuts nothing.
    """

    def __init__(self, style: Style) -> None:
        self._style = style
        places = [
            (place, column)
            for place, column in enumerate(COLUMNS)
            if style.wide or column.title != WIDE_ONLY
        ]
        where_usual = {2: USUAL_WHERE} if style.wide else {}
        usual = [Cell(where_usual.get(place, text)) for place, text in enumerate(USUAL)]
        self._shown, self._widths = fit(places, [usual], style, 0)

    def heading(self) -> str:
        """Return the line of titles."""
        return self._line([Cell(column.title, "dim") for column in COLUMNS])

    def lines(self, failures: Iterable[Failure]) -> str:
        """Return a line a failure."""
        return "".join(self._line(_row(failure)) for failure in failures)

    def _line(self, row: Sequence[Cell]) -> str:
        """Return one line; the last column takes what room there is."""
        style, parts = self._style, []
        left = style.width
        if style.wide:
            # Nothing is cut: those that come stand below the longest so far.
            cells = [columns(row[place].text) for place, _ in self._shown]
            self._widths = [max(both) for both in zip(self._widths, cells, strict=True)]
        for (place, column), width in zip(self._shown, self._widths, strict=True):
            is_last = place == self._shown[-1][0]
            room = max(width, left) if is_last else width
            text = row[place].text
            if style.width and not style.wide:
                text = cut(text, room, style, middle=column.middle)
            blanks = " " * (width - columns(text))
            parts.append(paint(text, row[place].look, style) + blanks)
            left -= max(width, columns(text)) + len(BETWEEN)
        return BETWEEN.join(parts).rstrip() + "\n"


def _row(failure: Failure) -> tuple[Cell, ...]:
    """Return the cells of one failure, one for each of COLUMNS."""
    return (
        Cell(f"{failure.at:%H:%M:%S}.{failure.at.microsecond // 1000:03}"),
        Cell(process(failure)),
        Cell(where(failure.process.unit, failure.process.container, failure.process.netns)),
        *(Cell(end) for end in ends(failure)),
        Cell(failure.operation),
        Cell(failure.error, _look(failure.cause)),
        Cell(_cause(failure), "" if failure.cause else "dim"),
        Cell(failure.address_source or ""),
    )


def _cause(failure: Failure) -> str:
    """Return the cause in a word, or what is missing for it."""
    is_unread = failure.protocol is not None and failure.local_address is None
    if failure.cause is None and _is_bind_in_use(failure) and is_unread:
        return UNREAD
    return failure.cause or UNKNOWN


def _is_bind_in_use(failure: Failure | FailureCount) -> bool:
    """Say whether a bind found in use what it asked for."""
    return (failure.operation, failure.error) == ("bind", "EADDRINUSE")


def ends(failure: Failure) -> tuple[str, str]:
    """Return from where and to where; what a bind asked for stands behind ``at``."""
    local = _end(failure.local_address, failure.local_port)
    if failure.operation == "bind":
        return "", local if local == NOTHING else f"at {local}"
    return local, _end(failure.remote_address, failure.remote_port)


def process(failure: Failure) -> str:
    """Return who failed: ``nginx(4312)``; a thread's number where the process ended."""
    who = failure.process
    name = printable(who.command) if who.command is not None else "ended"
    return f"{name}({who.tid if who.pid is None else who.pid})"


def where(unit: str | None, container: str | None, netns: str | None) -> str:
    """
    Return where a process belongs: its container or unit, and its namespace if not the host's.

    >>> where("nginx.service", None, "web"), where("a.scope", "docker:3f2a", "docker:3f2a")
    ('nginx.service in web', 'docker:3f2a')
    """
    place = container or unit or ""
    if netns in {None, "host", place}:
        return printable(place)
    return printable(f"{place} in {netns}" if place else str(netns))


def _end(address: str | None, port: int | None) -> str:
    """Return an end of a connection, "-" where there is none or nothing tells it."""
    return NOTHING if address is None else endpoint(printable(address), port)


def _look(cause: str | None) -> str:
    """Return the colour of an error: red is a want of ports."""
    return "red" if cause in EXHAUSTION else "yellow"


def scope(question: WatchQuestion) -> str:
    """
    Return what is watched, as a sentence.

    >>> scope(WatchQuestion(netns="web", pid=7))
    'Watching failed connects and binds of process 7 in network namespace web. Ctrl-C ends it.'
    """
    words = [
        f"process {question.pid}" if question.pid else "",
        f"processes called {printable(question.process)}" if question.process else "",
    ]
    whose = " and ".join(filter(None, words)) or "all processes"
    place = f" in network namespace {printable(question.netns)}" if question.netns else ""
    served = f" Counts are given at {printable(question.socket)}." if question.socket else ""
    return f"Watching failed connects and binds of {whose}{place}.{served} Ctrl-C ends it."


COUNT_COLUMNS = (
    Column("FAILURES", right=True),
    Column("PROCESS", least=12),
    Column("WHERE", least=10, drop=3),
    Column("CALL", drop=2),
    Column("ERROR"),
    Column("TO", least=15, middle=True),
    Column("CAUSE", least=17),
    Column("LAST (UTC)", drop=1),
)


def as_text(answer: FailureCounts, style: Style, told: Sequence[Gap] = ()) -> str:
    """
    Return the counts for a terminal: the sum, a row of those alike each, what causes mean.

    Args:
        answer: The counts.
        style: How it is to look.
        told: Gaps that were told before.
    """
    lines = [paint(line, "bold", style) for line in wrap(summary(answer), style)]
    if answer.counts:
        rows = [_count_row(one) for one in answer.counts]
        lines += ["", *as_table(COUNT_COLUMNS, rows, style), *_omitted(answer, style), ""]
        lines += _meanings(answer, style)
    missed = [gap for gap in answer.gaps if gap not in told]
    whose = gaps.signature([answer], style)
    return "\n".join([*lines, "", *gaps.as_lines(missed, style), *whose]) + "\n"


def all_as_text(answers: Sequence[FailureCounts], style: Style) -> str:
    """Return the counts; there is one answer, whatever namespaces it is about."""
    return "\n".join(as_text(answer, style) for answer in answers)


def summary(answer: FailureCounts) -> str:
    """Return how many failures there were, and of what kind, as a sentence."""
    span = duration((answer.taken_at - answer.since).total_seconds())
    if not answer.failures_total:
        return f"No failed connect or bind was seen in {span}."
    ports = number(answer.exhausted_total)
    if answer.exhausted_total == answer.failures_total:
        ports = "all" if answer.failures_total > 1 else "it was"
    of_ports = (
        f"{ports} for want of a free local port"
        if answer.exhausted_total
        else ("none for want of a free local port")
    )
    return f"{plural(answer.failures_total, 'failure')} in {span}, {of_ports}."


def _count_row(count: FailureCount) -> tuple[str | Cell, ...]:
    """Return the cells of one row, one for each of COUNT_COLUMNS."""
    return (
        number(count.failures),
        "ended" if count.command is None else printable(count.command),
        where(count.unit, count.container, count.netns),
        count.operation,
        Cell(count.error, _look(count.cause)),
        _end(count.remote_address, count.remote_port),
        Cell(count.cause or UNKNOWN, "" if count.cause else "dim"),
        f"{count.last_at:%H:%M:%S}",
    )


def _omitted(answer: FailureCounts, style: Style) -> list[str]:
    """Return the line that tells of rows left out."""
    if not answer.counts_omitted:
        return []
    text = f"{plural(answer.counts_omitted, 'rarer row')} not shown; the totals have them."
    return [paint(line, "dim", style) for line in wrap(text, style)]


def _meanings(answer: FailureCounts, style: Style) -> list[str]:
    """Return what each cause in the table means, once, and what to do where there is none."""
    told = dict.fromkeys(_meaning(count) for count in answer.counts)
    return [line for text in told for line in wrap(text, style, hang="  ")]


def _meaning(count: FailureCount) -> str:
    """Return what the cause of a row means."""
    if count.cause is not None:
        return f"{count.cause}: {CAUSES[count.cause].title}."
    return UNREAD_BIND if _is_bind_in_use(count) else NOT_KNOWN.format(error=count.error)


FAILURE_FIELDS = (
    "at",
    "operation",
    "error",
    "errno",
    "protocol",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "address_source",
    "cause",
)

PROCESS_FIELDS = (
    "tid",
    "pid",
    "start_time",
    "command",
    "uid",
    "unit",
    "container",
    "netns",
    "netns_inode",
    "netns_cookie",
)


def csv_heading() -> str:
    """Return the first line of failures as CSV."""
    return as_csv((*FAILURE_FIELDS, *PROCESS_FIELDS), ())


def csv_lines(failures: Iterable[Failure]) -> str:
    """Return a line a failure as CSV, without the heading."""
    return as_csv((), _csv_rows(failures)).removeprefix("\n")


def _csv_rows(failures: Iterable[Failure]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each failure."""
    for failure in failures:
        yield (
            *(getattr(failure, name) for name in FAILURE_FIELDS),
            *(getattr(failure.process, name) for name in PROCESS_FIELDS),
        )


def json_lines(failures: Iterable[Failure], answer: FailureCounts) -> str:
    """Return a line a failure as JSON, with the header of an answer before its fields."""
    return as_json_lines(answer, failures)


COUNT_FIELDS = FailureCount.__struct_fields__


def as_csv_text(answers: Sequence[FailureCounts]) -> str:
    """Return a line a row of the counts."""
    rows = (
        [getattr(count, name) for name in COUNT_FIELDS]
        for answer in answers
        for count in answer.counts
    )
    return as_csv(COUNT_FIELDS, rows)


def as_jsonl(answer: FailureCounts) -> str:
    """Return a line a row of the counts."""
    return as_json_lines(answer, answer.counts)
