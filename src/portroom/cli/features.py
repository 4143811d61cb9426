"""`portroom features`: what this kernel can tell, and what it cannot."""

from __future__ import annotations

import click

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


@click.command(epilog=exit_statuses())
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_name)
@output_options
@netns_option
@snapshot_option
def features(
    names: tuple[str, ...], output: str, plain: bool, netns: str | None, snapshot: str | None
) -> None:
    """What this kernel can tell, and what it cannot.

    Of each feature: yes, no, or unknown, what follows for the answers, and how it was
    found out. The kernel is asked each time; no version is compared. What takes a port
    is tried in a network namespace that ends with the trial. Where a right is missing
    the answer is unknown and names it. NAME is a feature; none is all of them. Needs
    no root, though root sees more; changes nothing.
    """
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
