"""The command line: words in, an answer and an exit status out.

Rules of this file: nothing heavy is imported before ``main`` runs, so that
Ctrl-C is understood from the first moment on and ``--version`` is fast; no
traceback ever reaches a user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from portroom.errors import PortroomError

INTERRUPTED = 130
"""128 + SIGINT, as a shell says it."""

BUG = 70
"""EX_SOFTWARE of sysexits.h: the fault is portroom's."""

USAGE = 2

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a full disk answers."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process with its exit status."""
    import gc

    sys.unraisablehook = _ignored
    # A command ends before garbage matters: of `portroom status`, 90 ms, the collector
    # takes 5 while it runs. A command that goes on for long enables it.
    gc.disable()
    try:
        status = run(arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    _end(status)


def _ignored(what: sys.UnraisableHookArgs) -> None:
    """
    Interrupt again where a Ctrl-C came while Python could not act on it.

    It may come in a callback of the import lock, where Python tells of it and
    goes on. By a thread, which runs once this hook, one more such place, is left.
    """
    if what.exc_type is KeyboardInterrupt:
        import _thread

        _thread.start_new_thread(_thread.interrupt_main, ())
    else:
        sys.__unraisablehook__(what)


def _end(status: int) -> NoReturn:
    """
    End the process at once, what was said written out.

    The interpreter would first take every module and a million ports apart,
    which takes 10 ms and more and is of use to nobody.
    """
    for stream in (sys.stdout, sys.stderr):
        # A stream that was closed has nothing left to write.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def run(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit status; errors are told on stderr.

    Args:
        arguments: The words after ``portroom``; None takes those of the process.
    """
    try:
        return _answer(arguments)
    except PortroomError as error:
        return _tell(str(error), error.exit_status)
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:  # noqa: BLE001 - the last net: no traceback for users
        return _explain(error)


def _answer(arguments: Sequence[str] | None) -> int:
    """Run the command, write out what it said, and return its exit status."""
    from portroom.cli.commands import portroom
    from portroom.cli.output import flush

    stream = sys.stdout
    try:
        status = portroom.main(arguments, prog_name="portroom", standalone_mode=False)
    except SystemExit as ending:
        # click makes 1 of a closed pipe, and changes the stream for that alone.
        if sys.stdout is not stream:
            raise BrokenPipeError from None
        status = ending.code
    flush()
    return status if isinstance(status, int) else 0


def _explain(error: Exception) -> int:
    """Tell what click or nobody expected, and return the exit status."""
    import click

    if isinstance(error, click.Abort):
        # What a change says of itself that Ctrl-C ended; others say nothing.
        sentence = str(error.__cause__ or "")
        return _tell(sentence, INTERRUPTED) if sentence else INTERRUPTED
    if isinstance(error, click.UsageError):
        return _tell(usage_sentence(error), USAGE)
    if isinstance(error, click.ClickException):
        return _tell(error.format_message(), error.exit_code)
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        # click writes help and version itself; everything else goes through output.
        from portroom.cli.output import refusal

        refused = refusal(error)
        return _tell(str(refused), refused.exit_status)
    from portroom.cli.crash import told

    return _tell(told(error), BUG)


def usage_sentence(error: object) -> str:
    """Return wrong usage as one sentence and where the right one is told."""
    import click

    assert isinstance(error, click.UsageError)
    path = error.ctx.command_path if error.ctx else "portroom"
    message = " ".join(error.format_message().split())
    stop = "" if message.endswith(("?", ".", "?)")) else "."
    return f"{message}{stop} Try `{path} --help`."


def _tell(message: str, status: int) -> int:
    """Write one sentence to stderr, if somebody reads it, and return *status*."""
    from portroom.cli.output import talk
    from portroom.render.units import printable

    talk(printable(message))
    return status


def _closed_pipe() -> int:
    """Make the end of the process quiet: the reader has seen enough."""
    from portroom.cli.files import discard_output

    discard_output(sys.stdout)
    return 0
