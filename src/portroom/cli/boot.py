"""`portroom boot`: which line decides at the next boot."""

from __future__ import annotations

import click

from portroom.cli.complete import complete_file, complete_folder
from portroom.cli.options import exit_statuses, output_options, source
from portroom.model.laws.dialects import PROGRAMS


def complete_key(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return the names of settings that begin so, or keys after a dot."""
    from portroom.cli.settings import complete_name

    return complete_name(_, __, begun)


@click.command(epilog=exit_statuses())
@click.option(
    "--program",
    type=click.Choice(PROGRAMS),
    help="Tell what this program does; without, the one that this host boots with.",
)
@click.option(
    "--root",
    metavar="DIR",
    shell_complete=complete_folder,
    help="Answer for the system below DIR; never look outside.",
)
@click.option(
    "--key",
    "keys",
    metavar="KEY",
    multiple=True,
    shell_complete=complete_key,
    help="Tell of this setting or sysctl alone; may be given again.",
)
@output_options
@click.option(
    "--snapshot",
    metavar="FILE",
    shell_complete=complete_file,
    help="Answer from a saved Snapshot.",
)
def boot(
    program: str | None,
    root: str | None,
    keys: tuple[str, ...],
    output: str,
    plain: bool,
    snapshot: str | None,
) -> None:
    """Which line decides at the next boot.

    Of each setting: what the kernel will hold, the file and line that decides, every
    other line that names it and what becomes of that, and where systemd-sysctl,
    `sysctl --system` and tuned would leave different values. KEY is `range` or the
    like, or any sysctl. Needs no root, changes nothing.
    """
    from portroom.api import boot as asking
    from portroom.cli.output import show
    from portroom.cli.progress import working
    from portroom.model.facts.questions import BootQuestion
    from portroom.render import boot as screen

    if root is not None and snapshot is not None:
        raise click.UsageError("--root and --snapshot exclude each other.")
    (where,) = source(None, False, snapshot)
    question = BootQuestion(program=program, root=root, keys=keys)
    with working("reading sysctl files"):
        answer = asking.boot(question, where)
    show([answer], screen, output=output, plain=plain, pager=True)
