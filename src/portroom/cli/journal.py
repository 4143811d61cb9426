"""`portroom journal`: what was changed, by whom, and how it ended."""

from __future__ import annotations

import click

from portroom.cli.options import exit_statuses, output_options


@click.command(epilog=exit_statuses())
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Show so many, the latest first; 0 is all.",
)
@output_options
def journal(limit: int, output: str, plain: bool) -> None:
    """What was changed, by whom, and how it ended.

    A line a change, the latest first: its number, when, who (the user who logged in, before
    sudo), what was asked for, where, and how it stands. `-o wide` adds the terminal, the
    command line and how it ended; JSON has every step with the values before and after.
    Needs no root, changes nothing.
    """
    from portroom.api import change
    from portroom.cli.output import show
    from portroom.render import journal as screen

    show([change.journal(limit)], screen, output=output, plain=plain, pager=True)
