"""`portroom features`: what this kernel can tell, and what it cannot."""

from __future__ import annotations

import click

from portroom.cli.complete import complete_file
from portroom.cli.options import (
    exit_statuses,
    netns_option,
    output_options,
    snapshot_option,
    source,
)


def complete_name(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return the names of features that begin so."""
    from portroom.model.laws.feature_table import FEATURES

    return [row.name for row in FEATURES if row.name.startswith(begun)]


def _keep(file: str, *, is_alone: bool) -> None:
    """
    Write what a daemon reads that may not ask itself; everybody may read it.

    Raises:
        UsageError: Something else was asked, too.
        WriteError: The file cannot be written.
    """
    if not is_alone:
        raise click.UsageError("--keep goes alone: what it keeps is of the kernel as a whole.")
    from portroom.api.features import features_to_keep
    from portroom.cli.files import write_file
    from portroom.render.document import as_json

    write_file(file, as_json(features_to_keep()).encode(), replace=True, mode=0o644)


@click.command(epilog=exit_statuses(_4="FILE could not be written; nothing was changed"))
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_name)
@output_options
@netns_option
@snapshot_option
@click.option(
    "--keep",
    metavar="FILE",
    shell_complete=complete_file,
    help="Keep what is asked in namespaces, for a daemon that may make none; answer nothing.",
)
def features(
    names: tuple[str, ...],
    output: str,
    plain: bool,
    netns: str | None,
    snapshot: str | None,
    keep: str | None,
) -> None:
    """What this kernel can tell, and what it cannot.

    Of each feature: yes, no, or unknown, what follows for the answers, and how it was
    found out. The kernel is asked each time; no version is compared. What takes a port
    is tried in a network namespace that ends with the trial. Where a right is missing
    the answer is unknown and names it. NAME is a feature; none is all of them. Needs
    no root, though root sees more; changes nothing but FILE.
    """
    if keep is not None:
        _keep(keep, is_alone=not (names or netns or snapshot))
        return
    from portroom.api import features as asking
    from portroom.cli.output import show
    from portroom.cli.progress import working
    from portroom.render import features as screen

    # A kernel has one answer for all its namespaces, but for a few settings and rights:
    # `--all-netns` would repeat it.
    (one,) = source(netns, False, snapshot)
    with working("asking the kernel"):
        answers = [asking.features(one, names)]
    show(answers, screen, output=output, plain=plain, pager=True)
