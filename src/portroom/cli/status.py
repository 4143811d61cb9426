"""`portroom status`: one screen."""

from __future__ import annotations

import click

from portroom.cli.options import (
    ask,
    exit_statuses,
    output_options,
    source,
    source_options,
)


@click.command(epilog=exit_statuses())
@output_options
@source_options
def status(
    output: str, plain: bool, netns: str | None, all_netns: bool, snapshot: str | None
) -> None:
    """One screen: the range, and what is tightest.

    How many more connections fit to the tightest destination; the local port
    range and its size; the tightest destinations with who holds their ports;
    sessions by state, and what `ss -s` prints; settings that the next boot changes;
    the gravest three findings; changes on trial; what could not be seen. Needs no root,
    changes nothing.
    """
    from portroom.api import look
    from portroom.api.trials import with_trials
    from portroom.cli.output import show
    from portroom.render import status as screen

    answers = ask(source(netns, all_netns, snapshot), look.status)
    if snapshot is None:
        answers = [with_trials(one) for one in answers]
    show(answers, screen, output=output, plain=plain, all_netns=all_netns)
