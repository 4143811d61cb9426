"""`portroom settings`: the settings that matter, now and at the next boot."""

from __future__ import annotations

import click

from portroom.cli.options import (
    ask,
    exit_statuses,
    output_options,
    source,
    source_options,
)


def complete_name(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return the names of settings that begin so, or keys after a dot."""
    from portroom.model.facts.settings import SETTINGS

    known = [row.key if "." in begun else row.name for row in SETTINGS]
    return [name for name in known if name.startswith(begun)]


@click.command(epilog=exit_statuses())
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_name)
@output_options
@source_options
def settings(
    names: tuple[str, ...],
    output: str,
    plain: bool,
    netns: str | None,
    all_netns: bool,
    snapshot: str | None,
) -> None:
    """The settings that matter, now and at the next boot.

    Of each: its value now, what the next boot gives and which file and line decides,
    the kernel's default, whether it holds for one network namespace or the whole
    system, what it does and what it does not do. `-o wide` has every line that names
    it. NAME is `range`, `reserved` or the like, or a sysctl key; none is all of them.
    Needs no root, changes nothing.
    """
    from portroom.api import settings as asking
    from portroom.cli.output import show
    from portroom.render import settings as screen

    sources = source(netns, all_netns, snapshot)
    answers = ask(sources, lambda one: asking.settings(one, names))
    show(answers, screen, output=output, plain=plain, all_netns=all_netns, pager=True)
