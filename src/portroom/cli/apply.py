"""`portroom apply`: carry out a plan that was kept."""

from __future__ import annotations

import click

from portroom.cli.complete import complete_file
from portroom.cli.options import CHANGE_STATUSES, exit_statuses, output_options


@click.command(epilog=exit_statuses(**CHANGE_STATUSES))
@click.argument("file", metavar="FILE", shell_complete=complete_file)
@click.option("--yes", is_flag=True, help="Do not ask before changing several namespaces.")
@output_options
def apply(file: str, yes: bool, output: str, plain: bool) -> None:
    """Carry out a plan that was kept.

    FILE is what `portroom plan --out FILE` wrote. The plan is told, then written, read
    back and kept in the journal, as `portroom set` does. It is refused where the file was
    edited, where it was made on another host or before a reboot, and where a value or a
    file is no longer what it was made from. Needs the rights that `set` needs.
    """
    from portroom.api.plan import kept_plan, read_plan
    from portroom.cli import changing

    with changing.as_change():
        # A file that is no plan changes nothing, not even what a crash left.
        kept_plan(file)
        changing.recover_first()
        plans = read_plan(file)
    several = len(plans) > 1
    changing.check_can_ask(needed=several and not yes)
    changing.tell_plans(plans, output, plain, as_table=several)
    changing.stop_refused(plans, output, plain)
    changing.suggest_trial(plans, plans[0].request)
    changing.agree(plans, needed=several and not yes)
    changing.carry_out(plans, output, plain, dry_run=False)
