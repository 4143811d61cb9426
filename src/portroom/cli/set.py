"""`portroom set`: change settings now, with a plan before and a way back after."""

from __future__ import annotations

from typing import Unpack

import click

from portroom.cli.change_options import Options, change_options, request
from portroom.cli.options import CHANGE_STATUSES, exit_statuses, output_options, source


@click.command("set", epilog=exit_statuses(**CHANGE_STATUSES))
@change_options
@click.option("--dry-run", is_flag=True, help="Show the plan, write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before changing several namespaces.")
@output_options
def set(  # noqa: A001 - what people type
    words: tuple[str, ...],
    netns: str | None,
    all_netns: bool,
    dry_run: bool,
    yes: bool,
    output: str,
    plain: bool,
    **options: Unpack[Options],
) -> None:
    """Change settings, with a plan before and a way back.

    NAME=VALUE is `range=15000-64001`, `reserved=8080,9000-9100` or the like, or a sysctl
    key; `reserved+=8080` adds ports and `reserved-=8080` takes some out. First the plan
    is told: old and new values, how many connections fit then, what else counts on ports
    of the new range, which limit is next. What would take a port from a listener is
    refused, unless --reserve or --force is given. Then it is written, read back and kept
    in the journal: `portroom undo` takes it back. With --try it takes itself back, unless
    `portroom confirm` comes from a terminal that still gets through. Needs
    CAP_NET_ADMIN; --persist needs the right to write /etc/sysctl.d.
    """
    from portroom.cli import changing
    from portroom.model.advice.requests import parse_words

    wanted = request(words, options)
    with changing.as_change():
        sources = source(netns, all_netns, None)
        changing.check_can_ask(needed=all_netns and not yes and not dry_run)
        if not dry_run:
            # Words that are not understood change nothing, not even what a crash left.
            parse_words(words)
            changing.recover_first()
        plans = changing.plans_for(words, wanted, sources)
    changing.tell_plans(plans, output, plain, as_table=all_netns)
    changing.stop_refused(plans, output, plain)
    if not dry_run:
        changing.suggest_trial(plans, wanted)
        changing.agree(plans, needed=all_netns and not yes)
    changing.carry_out(plans, output, plain, dry_run=dry_run)
