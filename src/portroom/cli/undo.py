"""`portroom undo`: take the last change back."""

from __future__ import annotations

import click

from portroom.cli.complete import complete_change
from portroom.cli.options import CHANGE_STATUSES, exit_statuses, output_options


@click.command(epilog=exit_statuses(**CHANGE_STATUSES))
@click.argument(
    "number", type=click.IntRange(min=1), required=False, shell_complete=complete_change
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take back so many changes, the last one first (default: 1).",
)
@click.option("--dry-run", is_flag=True, help="Show what would be taken back, write nothing.")
@output_options
def undo(number: int | None, steps: int | None, dry_run: bool, output: str, plain: bool) -> None:
    """Take the last change back.

    Values and files become what they were before it, byte for byte; a trial that waits is
    a change too, and is taken back now. NUMBER is that of an entry in the journal: that
    change alone is taken back. Only what still holds the value of that change is touched:
    where somebody else changed it since, nothing is written. After a reboot the file alone
    is taken back. An undo is an entry of the journal too, and is never undone itself.
    """
    from portroom.api import change
    from portroom.cli.output import talk
    from portroom.cli.progress import working
    from portroom.cli.touched import tell_touched

    if number is not None and steps is not None:
        raise click.UsageError("NUMBER takes back one change alone; --steps goes without it.")
    wanted = steps or 1
    with working("taking back"):
        journal = change.undo(wanted, dry_run, number)
    tell_touched(journal, output, plain, nothing="Nothing to undo.", dry_run=dry_run)
    if (count := len(journal.entries)) < wanted:
        talk(no_more(count, dry_run=dry_run))


def no_more(count: int, *, dry_run: bool) -> str:
    """
    Return how many changes were taken back where more were asked for.

    >>> no_more(2, dry_run=True)
    '2 changes would be taken back; there is no more to undo.'
    """
    from portroom.render.units import plural

    verb = "would be" if dry_run else "was" if count == 1 else "were"
    return f"{plural(count, 'change')} {verb} taken back; there is no more to undo."
