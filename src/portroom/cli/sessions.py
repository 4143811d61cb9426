"""`portroom sessions`: the sockets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from portroom.cli.options import (
    ask,
    exit_statuses,
    output_options,
    source,
    source_options,
)

if TYPE_CHECKING:
    from portroom.model.laws.sessions import SessionsQuestion


@click.command(epilog=exit_statuses())
@click.option(
    "--state",
    multiple=True,
    metavar="STATE[,…]",
    help="Only these states, as the kernel or `ss` spells them; also the groups "
    "all, connected, synchronized, bucket, big.",
)
@click.option(
    "--proto",
    multiple=True,
    metavar="PROTO[,…]",
    help="Only tcp, udp, udplite, raw, mptcp.",
)
@click.option("--local", metavar="ENDPOINT", default="*", help="Only on this end.")
@click.option("--remote", metavar="ENDPOINT", default="*", help="Only to this end.")
@click.option(
    "--process",
    metavar="PID|NAME",
    help="Only of this process; `*` and `?` in a name stand for anything.",
)
@click.option(
    "--sort",
    multiple=True,
    metavar="COLUMN[,…]",
    help="Order by proto, state, recv, send, local, remote, uid, process or inode; "
    "-COLUMN puts the largest first.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Show so many at most; 0, the default, is all.",
)
@click.option("--summary", is_flag=True, help="All in numbers, as `ss -s`; by state.")
@output_options
@source_options
def sessions(
    output: str,
    plain: bool,
    netns: str | None,
    all_netns: bool,
    snapshot: str | None,
    **words: Any,
) -> None:
    """The sockets, as netstat lists them.

    TCP, UDP, UDP-Lite, RAW and MPTCP, IPv4 and IPv6, with state, queues in bytes,
    both endpoints, user and process. Unix sockets have no ports and are out of
    scope: `ss -x` lists them. Needs no root; the processes of other users do.

    ENDPOINT is an address (10.0.0.1, 2001:db8::1), a prefix (10.0.0.0/8), a port
    (:443), a range of ports (:1000-2000), or both (10.0.0.1:443, [::1]:443).

    A process is `unknown` where the kernel itself does not know it (TIME_WAIT has
    no owner), `?` where it could not be seen, `-` where nobody looked. The port
    of a RAW socket is its protocol number. The send queue of a listener is the
    limit of its backlog.
    """
    from portroom.api import sessions as look
    from portroom.cli.output import show
    from portroom.render.sessions import Screen

    question = _question(**words)
    sources = source(netns, all_netns, snapshot)
    answers = ask(sources, lambda one: look.sessions(question, one))
    names = look.user_names(answers, sources[0]) if output in {"table", "wide"} else {}
    show(
        answers,
        Screen(names),
        output=output,
        plain=plain,
        all_netns=all_netns,
        pager=True,
    )


def _question(
    *,
    state: Sequence[str],
    proto: Sequence[str],
    local: str,
    remote: str,
    process: str | None,
    sort: Sequence[str],
    limit: int,
    summary: bool,
) -> SessionsQuestion:
    """Return the question, once its words are understood and do not contradict."""
    from portroom.model.laws.endpoint_filter import EVERY_ENDPOINT, parse_endpoint_filter
    from portroom.model.laws.session_words import (
        parse_protocols,
        parse_sort,
        parse_states,
    )
    from portroom.model.laws.sessions import SessionsQuestion

    question = SessionsQuestion(
        protocols=parse_protocols(proto),
        states=parse_states(state),
        local=parse_endpoint_filter(local),
        remote=parse_endpoint_filter(remote),
        process=process,
        sort=parse_sort(sort),
        limit=limit,
        summary=summary,
    )
    filtered = state or proto or process is not None or sort or limit
    ends = {question.local, question.remote} - {EVERY_ENDPOINT}
    if summary and (filtered or ends):
        raise click.UsageError("--summary counts every session: give no filter with it.")
    return question
