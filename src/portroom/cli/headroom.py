"""`portroom headroom`: how many more connections fit."""

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
    from portroom.model.facts.answers import Headroom, Key

FEWER = 1
UNDECIDED = 3

UNSEEN = {
    "keys": "not every key could be read",
    "namespaces": "not every network namespace could be read",
}
"""Fields of which a gap leaves open whether enough ports are free, and why."""


@click.command(
    epilog=exit_statuses(
        _1="fewer ports are free than --warn-below asks for",
        _3="could not be read, or --warn-below cannot be decided",
    )
)
@click.argument("destination", metavar="[ADDRESS[:PORT]]", required=False)
@click.option("--from", "from_address", metavar="ADDRESS", help="Local address.")
@click.option(
    "--proto",
    type=click.Choice(("tcp", "udp")),
    help="Only this protocol; unasked both, and TCP for a destination.",
)
@click.option(
    "--operation",
    type=click.Choice(("connect", "bind0")),
    default="connect",
    show_default=True,
    help="connect chooses a port for a remote, bind0 asks for any port.",
)
@click.option(
    "--warn-below",
    type=click.IntRange(min=0),
    metavar="PORTS",
    help="Exit 1 if a shown key has fewer free ports.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    metavar="N",
    help="Show so many keys, the tightest first; 0 is all.",
)
@click.option("--probe", is_flag=True, help="Let the kernel settle what is in doubt; no packet.")
@click.option("--probe-last", is_flag=True, help="Probe even the last port that is surely free.")
@click.option(
    "--owners/--no-owners",
    default=None,
    help="Look for the processes behind each key; unasked, if they are few.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Threads that read; 0, the default, chooses.",
)
@output_options
@source_options
def headroom(
    output: str,
    plain: bool,
    netns: str | None,
    all_netns: bool,
    snapshot: str | None,
    warn_below: int | None,
    **asked: Any,
) -> int:
    """How many more connections fit, and to what.

    ADDRESS:PORT is `1.2.3.4:443` or `[2001:db8::1]:443`; a host name and a service
    name do as well. ADDRESS alone is every key to it; nothing is every key. The
    remote address is the one that the socket has.

    A key is one local address towards one remote endpoint. held + in doubt + free
    = eligible, always: where the kernel does not tell, both ends are said.
    """
    from portroom.api import look
    from portroom.cli.output import show
    from portroom.render import headroom as screen

    question = _question(snapshot=snapshot, **asked)
    sources = source(netns, all_netns, snapshot)
    answers = ask(sources, lambda one: look.headroom(question, one))
    show(answers, screen, output=output, plain=plain, all_netns=all_netns, pager=True)
    if not any(answer.keys for answer in answers) and is_hidden(answers):
        return UNDECIDED
    return 0 if warn_below is None else judged(answers, warn_below)


def _question(
    *,
    snapshot: str | None,
    destination: str | None,
    from_address: str | None,
    proto: str | None,
    operation: str,
    probe: bool,
    probe_last: bool,
    **others: Any,
) -> Any:
    """Return the question, once its words do not contradict each other."""
    from portroom.model.facts.questions import HeadroomQuestion
    from portroom.model.facts.sockets import Operation, Protocol

    if probe_last and not probe:
        raise click.UsageError("--probe-last goes with --probe.")
    if probe and (proto == "udp" or operation != "connect"):
        raise click.UsageError(
            "--probe is for TCP connect alone: not with --proto udp or --operation bind0."
        )
    if probe and snapshot is not None:
        raise click.UsageError("--probe asks the kernel: not with --snapshot.")
    if probe and destination is None:
        raise click.UsageError("--probe needs the destination, as ADDRESS:PORT.")
    return HeadroomQuestion(
        address=destination,
        from_address=from_address,
        protocol=Protocol(proto) if proto else None,
        operation=Operation(operation),
        probe=probe,
        probe_last=probe_last,
        **others,
    )


def judged(answers: Sequence[Headroom], warn_below: int) -> int:
    """
    Return the exit status for `--warn-below`, and tell a doubt.

    Fewer, surely: 1. Perhaps fewer, as the kernel does not tell: 3.
    """
    from portroom.cli.output import talk

    keys = [key for answer in answers for key in answer.keys]
    if any(key.free_ports_max < warn_below for key in keys):
        return FEWER
    doubtful = [key for key in keys if key.free_ports < warn_below]
    why = _doubt(doubtful[0]) if doubtful else _unseen(answers)
    if not why:
        return 0
    talk(f"Whether fewer than {warn_below:,} ports are free cannot be decided: {why}.")
    return UNDECIDED


def is_hidden(answers: Sequence[Headroom], field: str = "keys") -> bool:
    """Say whether a field may be missing; a probe that was refused hides none."""
    from portroom.render.gaps import hides

    gaps = [gap for answer in answers for gap in answer.gaps if gap.source != "probe"]
    return hides(gaps, field)


def _unseen(answers: Sequence[Headroom]) -> str:
    """Return what was not seen that may have fewer free ports; "" if all was."""
    return next((why for field, why in UNSEEN.items() if is_hidden(answers, field)), "")


def _doubt(key: Key) -> str:
    """Return between which figures the free ports of a key lie."""
    from portroom.render.headroom import destination

    ends = f"{key.free_ports:,} and {key.free_ports_max:,}"
    return f"{destination(key)} has between {ends}"
