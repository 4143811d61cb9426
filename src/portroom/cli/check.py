"""`portroom check`: a monitoring plugin, one line with perfdata.

Rules of this file: whatever happens there is one line on standard output, and the exit
status is 0, 1, 2 or 3; every error, wrong usage included, is 3.
"""

from __future__ import annotations

import _thread
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from portroom.cli.complete import complete_file
from portroom.cli.options import ask, source, source_options

if TYPE_CHECKING:
    from portroom.model.facts.check import Verdict

UNKNOWN = 3

TIMEOUT_S = 10.0

EXIT_STATUSES = """\b
Exit status:
  0   OK
  1   WARNING: the worst key is over -w, or may be over a threshold
  2   CRITICAL: it is over -c
  3   UNKNOWN: wrong usage, a missing right, no answer in time, any error
  130 interrupted"""


class Line:
    """The one line of an answer: whoever comes first says it."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._is_said = False

    def say(self, text: str) -> bool:
        """
        Write the line, unless it was written; return whether it is this one.

        Raises:
            SystemExit: Nobody can be told.
        """
        from portroom.cli.files import discard_output
        from portroom.cli.output import write
        from portroom.errors import WriteError

        with self._lock:
            if self._is_said:
                return False
            self._is_said = True
            try:
                write(f"{text}\n".encode())
            except (BrokenPipeError, WriteError):
                discard_output(sys.stdout)
                raise SystemExit(UNKNOWN) from None
            return True

    def end_unknown(self, sentence: str) -> NoReturn:
        """Say why there is no answer, and end the command."""
        from portroom.render.check import as_unknown

        self.say(as_unknown(sentence))
        raise SystemExit(UNKNOWN)


class Plugin(click.Command):
    """A command of which every error is one line and exit status 3."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return what the words mean, or say what is wrong with them."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            Line().end_unknown(_sentence(error))

    def invoke(self, ctx: click.Context) -> int:
        """Say the verdict, or what went wrong, and return the exit status."""
        line = Line()
        try:
            with deadline(ctx.params["timeout"], line):
                found: Verdict = super().invoke(ctx)
            return _told(found, line)
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - a monitoring system sees the line alone
            line.end_unknown(_sentence(error))


def _told(found: Verdict, line: Line) -> int:
    """Say a verdict, and return its exit status."""
    from portroom.model.facts.check import STATES
    from portroom.render.check import as_line

    return STATES.index(found.state) if line.say(as_line(found)) else UNKNOWN


def _sentence(error: Exception) -> str:
    """Return an error as one sentence."""
    from portroom.cli import usage_sentence
    from portroom.errors import PortroomError

    if isinstance(error, click.UsageError):
        return usage_sentence(error)
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, PortroomError):
        return str(error)
    from portroom.cli.crash import told

    return told(error)


@contextmanager
def deadline(seconds: float, line: Line) -> Iterator[None]:
    """
    End the process with UNKNOWN if what is inside takes longer.

    By a thread: a system call that hangs is not waited for.
    """
    done = _thread.allocate_lock()
    done.acquire()

    def watch() -> None:
        """Wait, and end the process if nothing else did."""
        if done.acquire(timeout=seconds):
            return
        with suppress(SystemExit):
            line.end_unknown(f"no answer within {seconds:g} s")
        os._exit(UNKNOWN)

    _thread.start_new_thread(watch, ())
    try:
        yield
    finally:
        done.release()


def is_number(_: click.Context, __: click.Parameter, value: float) -> float:
    """
    Return a number that was given.

    Raises:
        BadParameter: It is none, as no bound refuses: every comparison with it is false.
    """
    if math.isnan(value):
        raise click.BadParameter(f"{value} is not a number.")
    return value


@click.command(cls=Plugin, epilog=EXIT_STATUSES)
@click.option(
    "-w",
    "--warning",
    type=click.FloatRange(0, 1),
    default=0.8,
    show_default=True,
    metavar="RATIO",
    callback=is_number,
    help="WARNING from this part of the eligible ports on, 0 to 1.",
)
@click.option(
    "-c",
    "--critical",
    type=click.FloatRange(0, 1),
    default=0.95,
    show_default=True,
    metavar="RATIO",
    callback=is_number,
    help="CRITICAL from this part on.",
)
@click.option(
    "-t",
    "--timeout",
    type=click.FloatRange(0, 3600, min_open=True),
    default=TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    callback=is_number,
    help="UNKNOWN if there is no answer by then.",
)
@click.option("--key", metavar="ADDRESS[:PORT]", help="Judge connections to this remote alone.")
@click.option("--rate", is_flag=True, help="Tell connects per second, from the daemon's history.")
@click.option(
    "--history",
    metavar="FILE",
    shell_complete=complete_file,
    help="The history of --rate; unasked, where the daemon keeps it.",
)
@source_options
def check(
    *,
    warning: float,
    critical: float,
    timeout: float,  # noqa: ARG001 - Plugin goes by it
    key: str | None,
    rate: bool,
    history: str | None,
    netns: str | None,
    all_netns: bool,
    snapshot: str | None,
) -> Verdict:
    """A monitoring plugin: one line with perfdata.

    Judges the key that is the fullest, by the ports that are surely held for it. Where
    only those of which the kernel does not tell would be over a threshold, it is WARNING
    at most, and the line says that it is in doubt. No connection at all is OK.

    With --all-netns the line names the namespace of the worst key; a namespace that could
    not be read makes it UNKNOWN, unless another one is bad already. --rate adds what the
    daemon saw in the last five minutes, and does not change what is judged. Needs no root,
    though root may enter every namespace; changes nothing.
    """
    if warning > critical:
        raise click.UsageError(f"-w {warning:g} is above -c {critical:g}.")
    if history is not None and not rate:
        raise click.UsageError("--history goes with --rate.")
    if rate and snapshot is not None:
        raise click.UsageError("--rate asks the history of this host: not with --snapshot.")
    from portroom.api import check as asking
    from portroom.model.facts.check import CheckQuestion, Limits
    from portroom.model.laws.verdict import verdict, with_rate

    question = CheckQuestion(address=key, limits=Limits(warning, critical))
    checked = ask(source(netns, all_netns, snapshot), lambda one: asking.check(question, one))
    found = verdict(checked, question)
    return with_rate(found, asking.rate(question, found, history)) if rate else found
