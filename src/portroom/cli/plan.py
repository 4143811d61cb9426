"""`portroom plan`: what `set` would write, kept in a file for `apply`."""

from __future__ import annotations

from typing import Any, NoReturn, Unpack

import click

from portroom.cli.change_options import Options, change_options, request
from portroom.cli.complete import complete_file
from portroom.cli.options import exit_statuses, output_options, source
from portroom.errors import PortroomError

DETAILED = "--detailed-exitcode"

ERROR, CHANGES = 1, 2
"""Exit statuses with DETAILED."""

STDOUT = "-"
"""What stands for standard output in place of a file."""

HINT = "Give --replace to replace it."


class Plan(click.Command):
    """A command that ends with ERROR for any error, usage included, where DETAILED is given."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of a call, its words parsed."""
        detailed = DETAILED in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if detailed:
                _fail(error)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.UsageError, PortroomError) as error:
            if ctx.params["detailed_exitcode"]:
                _fail(error)
            raise


def _fail(error: Exception) -> NoReturn:
    """Raise an error again, as one that ends with ERROR."""
    if isinstance(error, click.UsageError):
        from portroom.cli import usage_sentence

        failed = PortroomError(usage_sentence(error))
    else:
        assert isinstance(error, PortroomError)
        failed = error
    failed.exit_status = ERROR
    raise failed


@click.command(
    cls=Plan,
    epilog=exit_statuses(
        _1=f"with {DETAILED}: any error, usage included",
        _2=f"wrong usage; with {DETAILED}: there is something to change",
        _4="refused, or FILE could not be written; nothing was changed",
    ),
)
@change_options
@click.option(
    "--out",
    metavar="FILE",
    shell_complete=complete_file,
    help="Keep the plan in this file, for `apply`; - is standard output, and nothing else is.",
)
@click.option("--replace", is_flag=True, help="Replace FILE if it is there already.")
@click.option(DETAILED, is_flag=True, help="Exit 0: nothing to do, 1: an error, 2: to change.")
@output_options
def plan(
    words: tuple[str, ...],
    netns: str | None,
    all_netns: bool,
    out: str | None,
    replace: bool,
    detailed_exitcode: bool,
    output: str,
    plain: bool,
    **options: Unpack[Options],
) -> None:
    """What `set` would write, kept in a file.

    The same as `portroom set` in two steps: look at the plan, or have it looked at, then
    `portroom apply FILE`. The file is JSON with every value before and after; `apply`
    refuses it where it was edited, or where this host is no longer what it was made from.
    NAME=VALUE and the options are those of `set`. Needs no root, changes nothing but FILE.
    """
    from portroom.cli import changing
    from portroom.cli.files import check_target
    from portroom.cli.output import show
    from portroom.render import plan as screen

    wanted = request(words, options)
    _check(out, replace, output)
    if out not in {None, STDOUT}:
        check_target(out, replace=replace, hint=HINT)
    plans = changing.plans_for(words, wanted, source(netns, all_netns, None))
    if out != STDOUT:
        show(plans, screen, output=output, plain=plain, all_netns=all_netns)
    changing.check_refused(plans)
    if out is not None:
        _keep(plans, out, replace=replace)
    if detailed_exitcode and any(one.steps for one in plans):
        raise SystemExit(CHANGES)


def _check(out: str | None, replace: bool, output: str) -> None:
    """Refuse options that do not go together."""
    if replace and out in {None, STDOUT}:
        raise click.UsageError("--replace goes with --out FILE.")
    if out == STDOUT and output != "table":
        raise click.UsageError(f"--out - and -o {output} both want standard output.")


def _keep(plans: list[Any], out: str, *, replace: bool) -> None:
    """Write the plans to a new file, and tell how to carry them out; or to standard output."""
    import shlex

    from portroom.api.plan import plan_file
    from portroom.cli.files import write_file
    from portroom.cli.output import talk, write

    if out == STDOUT:
        write(plan_file(plans))
        return
    write_file(out, plan_file(plans), replace=replace, hint=HINT)
    if any(one.steps for one in plans):
        talk(f"carry it out with: portroom apply {shlex.quote(out)}")
