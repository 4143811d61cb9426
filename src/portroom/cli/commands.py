"""The commands, each imported when it is called and not before."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from portroom import __version__
from portroom.errors import PortroomError

COMMANDS: dict[str, tuple[str, str]] = {
    "status": ("status", "One screen: the range, and what is tightest."),
    "headroom": ("headroom", "How many more connections fit, and to what."),
    "sessions": ("sessions", "The sockets, as netstat lists them."),
    "settings": ("settings", "The settings that matter, now and at the next boot."),
    "boot": ("boot", "Which line decides at the next boot."),
    "explain": ("explain", "Why a connect, bind or send fails, and what to do."),
    "doctor": ("doctor", "Findings, each with evidence and remedy."),
    "features": ("features", "What this kernel can tell, and what it cannot."),
    "trace": ("trace", "Failed connects and binds, as they happen."),
    "serve": ("serve", "Stay on: sample, remember, answer by HTTP, and warn."),
    "history": ("history", "What was seen, and what happened meanwhile."),
    "metrics": ("metrics", "The metrics once, for cron and node_exporter."),
    "check": ("check", "A monitoring plugin: one line with perfdata."),
    "alerts": ("alerts", "What alerts there are, and whether they reach you."),
    "set": ("set", "Change settings, with a plan before and a way back."),
    "plan": ("plan", "What `set` would write, kept in a file."),
    "apply": ("apply", "Carry out a plan that was kept."),
    "confirm": ("confirm", "Keep a change that is on trial."),
    "undo": ("undo", "Take the last change back."),
    "recover": ("recover", "Take back what did not complete."),
    "journal": ("journal", "What was changed, by whom, and how it ended."),
    "report": ("report", "One paste with everything that support asks for."),
    "snapshot": ("snapshot", "Save what was read, to answer from it later."),
    "completion": ("completion", "Print the completion script of a shell."),
}
"""
Of each command the module in this room, whose attribute is named alike, and
the first line of its help: `--help` imports none of them.
"""

PLUGIN = "check"
"""A monitoring system reads its line and its exit status."""

SILENT = frozenset({"set", "apply", "confirm", "undo", "recover", "completion", "serve", PLUGIN})
"""
Commands that tell nothing of what is to be recovered: those that change do it
themselves, the daemon says it in its log, and a monitoring system reads one line.
"""

DRY = "--dry-run"
"""With it they only read, too."""

FIRST = "status"
"""What `portroom` alone answers."""


class Commands(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        name: str,
    ) -> click.Command | None:
        """Return a command, imported now; None if there is none of this name."""
        if name not in COMMANDS:
            return None
        module, _ = COMMANDS[name]
        command = getattr(import_module(f"portroom.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """
        Return the command that is called and its arguments.

        Raises:
            NoSuchCommand: There is none of this name; the nearest is named.
        """
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """
        Return the words after the options of `portroom` itself.

        Raises:
            UsageError: An option of a command stands before it, where a parser
                that is less strict would ignore it.
        """
        # Completion parses what is not there yet: nothing then stands for any command.
        words = list(args) if args or ctx.resilient_parsing else [FIRST]
        try:
            return super().parse_args(ctx, list(words))
        except click.NoSuchOption as error:
            _end_plugin(words, error.option_name)
            raise click.UsageError(_before(words, error.option_name), ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that is called, and tell what is to be recovered, if it only reads."""
        is_dry = DRY in ctx.args  # click empties them
        try:
            result = super().invoke(ctx)
        except (SystemExit, PortroomError):
            _tell_left_over(ctx.invoked_subcommand, is_dry=is_dry)
            raise
        _tell_left_over(ctx.invoked_subcommand, is_dry=is_dry)
        return result

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the commands into the help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`portroom` alone is `portroom status`. Options follow the command.",
)
@click.version_option(__version__, message="portroom %(version)s")
def portroom() -> None:
    """Tell how many more connections fit on this host."""


def _tell_left_over(name: str | None, *, is_dry: bool) -> None:
    """Tell on stderr what is to be recovered, where the command *name* does not do it itself."""
    if name in SILENT and not is_dry:
        return
    from portroom.api.trials import trials

    seen = trials()
    if seen.trials or seen.broken_off:
        from portroom.cli.output import talk
        from portroom.render.trials import notices

        for sentence in notices(seen.trials, seen.broken_off):
            talk(sentence)


def _before(words: Sequence[str], option: str) -> str:
    """Return what is wrong with an option before the command."""
    return f"{option!r} stands before a command: options follow it, as in `{_in_order(words)}`"


def _end_plugin(words: Sequence[str], option: str) -> None:
    """End `check` as it ends itself: to a monitoring system exit status 2 is an alarm."""
    if _called(words) == PLUGIN:
        from portroom.cli.check import Line

        Line().end_unknown(_before(words, option))


def _called(words: Sequence[str]) -> str:
    """Return the command that is meant, wherever it stands."""
    return next((word for word in words if word in COMMANDS), FIRST)


def _in_order(words: Sequence[str]) -> str:
    """Return the command line with its command first."""
    command = _called(words)
    rest = [word for word in words if word != command]
    return " ".join(["portroom", command, *rest])
