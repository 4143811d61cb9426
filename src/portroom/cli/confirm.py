"""`portroom confirm`: keep a change that is on trial."""

from __future__ import annotations

import click

from portroom.cli.complete import complete_trial
from portroom.cli.options import CHANGE_STATUSES, exit_statuses, output_options


@click.command(epilog=exit_statuses(**CHANGE_STATUSES))
@click.argument("number", type=click.IntRange(min=1), required=False, shell_complete=complete_trial)
@output_options
def confirm(number: int | None, output: str, plain: bool) -> None:
    """Keep a change that is on trial.

    Anyone with the right to write may confirm, from any terminal. NUMBER is that of the
    entry in the journal; without it, the one trial that waits. Where the trial was made
    with --persist the file for the next boot is written now. A trial whose time is over
    is taken back, and that is told.
    """
    from portroom.api import change
    from portroom.cli.progress import working
    from portroom.cli.touched import tell_touched

    with working("confirming"):
        journal = change.confirm(number)
    tell_touched(journal, output, plain, nothing="No trial waits for a confirmation.")
