"""Sessions: a line a socket as ``netstat -anp`` lists them, or all in numbers.

Rules of this file:

- who holds a socket is ``unknown`` where the kernel itself does not know
  (TIME_WAIT has no owner), ``?`` where it was not seen, ``-`` where nobody
  looked; never root for want of an answer;
- names of users and processes are hostile text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from portroom.model.facts.answers import Session, Sessions, Summary
from portroom.model.facts.snapshot import NOT_LOOKED_AT
from portroom.model.facts.sockets import Owner
from portroom.render import gaps, long_table
from portroom.render import summary as in_numbers
from portroom.render.document import as_json, as_json_line, as_json_lines
from portroom.render.flow import wrap
from portroom.render.table import Column, as_csv
from portroom.render.units import (
    Style,
    endpoint,
    number,
    paint,
    plural,
    printable,
)

UNKNOWN, UNSEEN, NOBODY_LOOKED = "unknown", "?", "-"

NONE = "*"
"""What stands for a remote endpoint that a socket does not have."""

IPV4_COLUMNS = 21
"""The longest IPv4 endpoint, 255.255.255.255:65535, is never cut."""

COLUMNS = (
    Column("NETNS", least=8),
    Column("PROTO"),
    Column("STATE"),
    Column("RECV-Q", right=True, drop=2),
    Column("SEND-Q", right=True, drop=2),
    Column("LOCAL", least=IPV4_COLUMNS, middle=True),
    Column("REMOTE", least=IPV4_COLUMNS, middle=True),
    Column("USER", least=4, drop=1),
    Column("PROCESS", least=8),
    Column("UNIT OR CONTAINER"),
    Column("INODE", right=True),
)

CSV_COLUMNS = (
    "netns",
    "protocol",
    "state",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "recv_queue_bytes",
    "send_queue_bytes",
    "uid",
    "inode",
    "pids",
    "commands",
    "units",
    "containers",
)


class Screen:
    """
    What the door shows sessions with.

    Args:
        user_names: Names of uids, as far as they have one; else the number
            stands.
    """

    def __init__(self, user_names: Mapping[int, str] | None = None) -> None:
        self._names = user_names or {}

    def as_text(self, answer: Sessions, style: Style, /) -> str:
        """Return one answer for a terminal."""
        return _text([answer], self._names, style, named=False)

    def all_as_text(self, answers: Sequence[Sessions], style: Style, /) -> str:
        """Return the answers of all namespaces as one table."""
        return _text(answers, self._names, style, named=True)

    def as_csv_text(self, answers: Sequence[Sessions], /) -> str:
        """Return a line a session; of summaries a line a figure."""
        return as_csv_text(answers)

    def as_json(self, answer: Sessions, /) -> str:
        """Return one answer as an indented JSON object."""
        return as_json(answer)

    def as_jsonl(self, answer: Sessions, /) -> str:
        """Return a JSON object a session; of a summary one object."""
        return as_jsonl(answer)


def as_csv_text(answers: Sequence[Sessions]) -> str:
    """Return a line a session; of summaries a line a figure."""
    if any(answer.summary for answer in answers):
        figures = [
            (answer.netns.name, name, value)
            for answer in answers
            for name, value in _figures(answer.summary)
        ]
        return as_csv(("netns", "figure", "sockets"), figures)
    return as_csv(CSV_COLUMNS, _csv_rows(answers))


def as_jsonl(answer: Sessions) -> str:
    """Return a JSON object a session; of a summary one object."""
    if answer.summary:
        return as_json_line(answer)
    return as_json_lines(answer, answer.sessions)


def _csv_rows(answers: Iterable[Sessions]) -> Iterator[tuple[object, ...]]:
    """Yield the fields of each session; several owners stand in one field."""
    for answer in answers:
        for one in answer.sessions:
            owners = one.owners
            yield (
                answer.netns.name,
                one.protocol,
                one.state,
                one.local_address,
                one.local_port,
                one.remote_address,
                one.remote_port,
                one.recv_queue_bytes,
                one.send_queue_bytes,
                one.uid,
                one.inode,
                _joined(owner.pid for owner in owners),
                _joined(owner.command for owner in owners),
                _joined(owner.unit for owner in owners),
                _joined(owner.container for owner in owners),
            )


def _joined(values: Iterable[object]) -> str | None:
    """Return distinct values as one field, None where there is none."""
    texts = dict.fromkeys(str(value) for value in values if value is not None)
    return ";".join(texts) or None


def _figures(summary: Summary | None) -> Iterator[tuple[str, int | None]]:
    """Yield each figure of a summary under the name that it has in JSON."""
    if summary is None:
        return
    yield "sockets_total", summary.sockets_total
    yield "bound_local_ports", summary.bound_local_ports
    for name in summary.tcp.__struct_fields__:
        yield f"tcp.{name}", getattr(summary.tcp, name)
    for transport in summary.transports.__struct_fields__:
        counts = getattr(summary.transports, transport)
        for name in counts.__struct_fields__:
            yield f"transports.{transport}.{name}", getattr(counts, name)
    for state, sockets in summary.states.items():
        yield f"states.{state}", sockets
    for state, sockets in summary.udp_states.items():
        yield f"udp_states.{state}", sockets


def _text(
    answers: Sequence[Sessions],
    names: Mapping[int, str],
    style: Style,
    *,
    named: bool,
) -> str:
    """Return the table, or the summaries, and below what is to be known of it."""
    if any(answer.summary for answer in answers):
        lines = _summaries(answers, style, named=named)
    else:
        lines = _table(answers, names, style, named=named)
        lines += _remarks(answers, style)
    told = gaps.as_lines([gap for answer in answers for gap in answer.gaps], style)
    return "\n".join([*lines, *([""] if told else []), *told]) + "\n"


def _summaries(answers: Sequence[Sessions], style: Style, *, named: bool) -> list[str]:
    """Return the summary of each namespace."""
    lines: list[str] = []
    for answer in answers:
        if named:
            name = paint(printable(answer.netns.name), "bold", style)
            lines += [""] * bool(lines) + [name]
        if answer.summary:
            lines += in_numbers.as_lines(answer.summary, style, gaps=answer.gaps)
    return lines


def _table(
    answers: Sequence[Sessions],
    names: Mapping[int, str],
    style: Style,
    *,
    named: bool,
) -> list[str]:
    """Return the lines of the table, and which columns found no place in it."""
    if not any(answer.sessions for answer in answers):
        return ["No session matches."]
    texts = _texts(answers, names, style, named=named)
    lines = list(long_table.as_lines(COLUMNS, texts, style))
    shown, _ = long_table.fit_columns(COLUMNS, texts, style)
    fitting = {column.title for _, column in shown}
    missing = [
        column.title
        for column, cells in zip(COLUMNS, texts, strict=True)
        if column.title not in fitting and any(cells)
    ]
    if missing:
        text = f"No room for {', '.join(missing)}: `-o wide` shows every column."
        lines += ["", *(paint(line, "dim", style) for line in wrap(text, style))]
    return lines


def _texts(
    answers: Sequence[Sessions],
    names: Mapping[int, str],
    style: Style,
    *,
    named: bool,
) -> list[list[str]]:
    """Return the cells of the table, column by column; empty where not wanted."""
    every = [session for answer in answers for session in answer.sessions]
    users = {uid: printable(names.get(uid, str(uid))) for uid in _uids(every)}
    return [
        [
            printable(answer.netns.name) if named else ""
            for answer in answers
            for _ in answer.sessions
        ],
        [one.protocol for one in every],
        [one.state for one in every],
        [str(one.recv_queue_bytes) for one in every],
        [str(one.send_queue_bytes) for one in every],
        [endpoint(one.local_address, one.local_port) for one in every],
        [_remote(one) for one in every],
        [UNKNOWN if one.uid is None else users[one.uid] for one in every],
        [
            _process(one, answer_looked, style)
            for answer, answer_looked in zip(answers, map(_looked, answers), strict=True)
            for one in answer.sessions
        ],
        [_place(one.owners) if style.wide else "" for one in every],
        [str(one.inode or UNKNOWN) if style.wide else "" for one in every],
    ]


def _uids(sessions: Iterable[Session]) -> set[int]:
    """Return the distinct uids of sessions."""
    return {one.uid for one in sessions if one.uid is not None}


def _remote(session: Session) -> str:
    """Return the remote endpoint, a star where there is none."""
    if session.remote_address is None:
        return NONE
    return endpoint(session.remote_address, session.remote_port)


def _process(session: Session, looked: bool, style: Style) -> str:
    """Return ``PID/NAME`` of the owners, or why there is none."""
    owners = session.owners
    if not owners:
        if session.inode is None:
            return UNKNOWN
        return UNSEEN if looked else NOBODY_LOOKED
    if style.wide:
        return " ".join(map(_named, owners))
    more = f" +{len(owners) - 1}" if len(owners) > 1 else ""
    return _named(owners[0]) + more


def _named(owner: Owner) -> str:
    """Return a process as ``netstat -p`` writes it."""
    return f"{owner.pid}/{printable(owner.command)}"


def _place(owners: Iterable[Owner]) -> str:
    """Return the units and containers of owners."""
    found = (owner.container or owner.unit for owner in owners)
    return " ".join(dict.fromkeys(printable(place) for place in found if place))


def _looked(answer: Sessions) -> bool:
    """Say whether anybody looked for owners."""
    return not any(gap.source == "owners" and gap.reason == NOT_LOOKED_AT for gap in answer.gaps)


def _remarks(answers: Sequence[Sessions], style: Style) -> list[str]:
    """Return how many sessions a limit left out."""
    total = sum(answer.sessions_total for answer in answers)
    shown = sum(len(answer.sessions) for answer in answers)
    if shown == total:
        return []
    text = f"{number(shown)} of {plural(total, 'session')} shown."
    return ["", *(paint(line, "dim", style) for line in wrap(text, style))]
