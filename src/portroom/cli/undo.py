"""`portroom undo`: take the last change back."""

from __future__ import annotations

import click

from portroom.cli.options import CHANGE_STATUSES, exit_statuses, output_options


@click.command(epilog=exit_statuses(**CHANGE_STATUSES))
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Take back so many changes, the last one first.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be taken back, write nothing.")
@output_options
def undo(steps: int, dry_run: bool, output: str, plain: bool) -> None:
    """Take the last change back.

    Values and files become what they were before it, byte for byte; a trial that waits is
    taken back now. Only what still holds the value of that change is touched: where
    somebody else changed it since, nothing is written. After a reboot the file alone is
    taken back. An undo is an entry of the journal too, and is never undone itself.
    """
    from portroom.api import change
    from portroom.cli.touched import tell_touched

    journal = change.undo(steps, dry_run)
    tell_touched(journal, output, plain, nothing="Nothing to undo.", dry_run=dry_run)
