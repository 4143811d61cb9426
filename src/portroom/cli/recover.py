"""`portroom recover`: take back what did not complete."""

from __future__ import annotations

import click

from portroom.cli.options import CHANGE_STATUSES, exit_statuses, output_options


@click.command(epilog=exit_statuses(**CHANGE_STATUSES))
@click.option("--guard", type=click.IntRange(min=1), hidden=True, help="Guard this trial.")
@output_options
def recover(guard: int | None, output: str, plain: bool) -> None:
    """Take back what did not complete.

    A change that did not complete never happened: what a crash left half written is put
    back, and so is a trial that expired while nobody guarded it. What somebody else
    changed meanwhile is left as it is, and that is a conflict: exit status 4. Safe to
    call at any time; a unit calls it at boot, and every command that changes calls it
    first.
    """
    from portroom.api import change

    if guard is not None:
        raise SystemExit(change.guard(guard))
    from portroom.cli.progress import working
    from portroom.cli.touched import tell_touched

    with working("taking back what did not complete"):
        journal = change.recover()
    tell_touched(journal, output, plain, nothing="Nothing to recover.")
