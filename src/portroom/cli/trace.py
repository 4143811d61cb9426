"""`portroom trace`: failed connects and binds as they happen."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import click

from portroom.cli.change_options import parse_duration
from portroom.cli.complete import complete_file, complete_netns
from portroom.cli.files import discard_output
from portroom.cli.options import exit_statuses, output_options

if TYPE_CHECKING:
    from portroom.api.watch import Failures
    from portroom.model.facts.failure import Failure, FailureCounts
    from portroom.model.facts.questions import WatchQuestion

INTERRUPTED = 130

WAIT_S = 0.5
"""How long to wait for failures at a time; somebody who asks for counts waits as long."""

LAST_LOOKS = 10
"""How often to look for what is left at the end: where it never stops to fail, this does."""

PATIENCE_S = 1.0
"""How long a write may take once a signal came: whoever reads nothing cannot hold up the end."""

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a watch in order: Ctrl-C, a service manager, a terminal that is closed."""


def length_s(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """
    Return for how many seconds to watch, None for no end.

    Raises:
        BadParameter: It is no span of time, or none at all.
    """
    if text is None:
        return None
    seconds = parse_duration(text)
    if not seconds:
        raise click.BadParameter(f"{text!r} is no time: write 30s, 5m, 1h, or 30 for seconds.")
    return seconds


@click.command(
    epilog=exit_statuses(
        _0="answered; ended by --duration, SIGTERM, or as nobody reads any more",
        _3="a right is missing, or a kernel feature",
        _130="ended by Ctrl-C, the usual end: the sum was told",
    )
)
@click.option("--pid", type=click.IntRange(min=1), metavar="PID", help="Only of this process.")
@click.option(
    "--process",
    metavar="NAME",
    help="Only of processes of this name; `*` and `?` stand for anything.",
)
@click.option(
    "--netns",
    metavar="NAME|PID|PATH",
    shell_complete=complete_netns,
    help="Only of processes in this network namespace; unasked, of all.",
)
@click.option("--count", is_flag=True, help="Tell nothing until the end, and then the counts.")
@click.option(
    "--duration",
    "length",
    callback=length_s,
    metavar="DURATION",
    help="End after so long: 30s, 5m, 1h; unasked, at Ctrl-C.",
)
@click.option(
    "--serve",
    "socket",
    metavar="SOCKET",
    shell_complete=complete_file,
    help="Give the counts to whoever connects to this unix socket; goes with --count.",
)
@output_options
def trace(
    output: str,
    plain: bool,
    pid: int | None,
    process: str | None,
    netns: str | None,
    count: bool,
    length: int | None,
    socket: str | None,
) -> int:
    """Failed connects and binds, as they happen.

    Each with time, process, both ends, errno, and its cause as `explain` names it:
    EADDRNOTAVAIL and EAGAIN of connect, EADDRINUSE and EADDRNOTAVAIL of bind. At the
    end, Ctrl-C or --duration, come the counts. -o json is the counts alone, jsonl and
    csv have a line a failure, or with --count a line a row of the counts.

    Needs root: it makes a trace instance of its own in tracefs, which is gone
    afterwards; nothing else is changed. All network namespaces are seen.

    Not seen: a send of an unbound UDP socket, or a listen() without bind(), that finds
    no port.
    """
    import gc

    from portroom.api import watch
    from portroom.model.facts.questions import WatchQuestion

    gc.enable()  # this goes on for days
    question = WatchQuestion(netns=netns, pid=pid, process=process, socket=socket)
    with _endings() as ending, watch.watch(question) as failures:
        ending.stop = failures.stop
        tell_begin(question, failures.counts())
        show = _Shown(output, ending, plain=plain, counts_alone=count or socket is not None)
        show.begin(failures.counts())
        with show.waiting(length):
            _follow(failures, ending, show, length)
        show.end(failures.counts())
    return INTERRUPTED if ending.number == signal.SIGINT else 0


class NobodyReadsError(Exception):
    """A signal came, and what is being written is not read."""


class Ending:
    """Which signal came, 0 for none yet, and what it lets return."""

    def __init__(self) -> None:
        self.number = 0
        self.stop: Callable[[], None] | None = None
        self._writing_since_s: float | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Let a signal end what is written in a ``with`` block, if that is not read."""
        self._writing_since_s = time.monotonic()
        try:
            yield
        finally:
            self._writing_since_s = None

    def remind(self, _: int, __: FrameType | None) -> None:
        """
        End a write that goes on though a signal came a while ago.

        Raises:
            NobodyReadsError: There is one.
        """
        since_s = self._writing_since_s
        if since_s is not None and time.monotonic() - since_s >= PATIENCE_S:
            raise NobodyReadsError

    def handle(self, number: int, _: FrameType | None) -> None:
        """Note a signal; a second one ends at once."""
        if self.number:
            raise KeyboardInterrupt
        self.number = number
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S, PATIENCE_S)
        if self.stop is not None:
            self.stop()


@contextlib.contextmanager
def _endings() -> Iterator[Ending]:
    """Let signals end the watch in order for the length of a ``with`` block."""
    ending = Ending()
    # One that is ignored, as under nohup, stays so.
    handled = [one for one in ENDINGS if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, ending.handle) for one in handled}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, ending.remind)
    try:
        yield ending
    except NobodyReadsError:
        discard_output(sys.stdout)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in before.items():
            signal.signal(one, handler)


def _follow(failures: Failures, ending: Ending, show: _Shown, length_s: int | None) -> None:
    """Show failures as they come until the time is over or a signal ends it."""
    from portroom.cli.output import talk

    until_s = None if length_s is None else time.monotonic() + length_s
    told_lost = 0
    while not ending.number:
        left_s = WAIT_S if until_s is None else min(WAIT_S, until_s - time.monotonic())
        if left_s <= 0:
            break
        show.add(failures.read(left_s))
        if failures.lost_events > 2 * told_lost:
            told_lost = failures.lost_events
            talk(f"{told_lost:,} events were lost so far: counts are lower bounds.")
    # What failed before the end, and was taken in while the last causes were looked for.
    for _ in range(LAST_LOOKS):
        last = failures.read(0)
        show.add(last)
        if not last and not failures.is_behind:
            break


def tell_begin(question: WatchQuestion, first: FailureCounts) -> None:
    """Tell on stderr what is watched, and what is not seen."""
    from portroom.cli.output import talk
    from portroom.render.failures import scope
    from portroom.render.gaps import as_sentence

    talk(scope(question))
    for gap in first.gaps:
        talk(as_sentence(gap))


class _Shown:
    """
    How failures reach the user.

    Args:
        output: One of the formats.
        ending: What may end a write.
        plain: ASCII alone.
        counts_alone: No line a failure.
    """

    def __init__(self, output: str, ending: Ending, *, plain: bool, counts_alone: bool) -> None:
        from portroom.cli.output import style
        from portroom.render.failures import Lines

        self._output, self._ending = output, ending
        self._look = style(plain=plain, wide=output == "wide")
        self._lines = Lines(self._look)
        self._is_table = output in {"table", "wide"}
        self._counts_alone = counts_alone or output == "json"
        self._first: FailureCounts | None = None

    def begin(self, first: FailureCounts) -> None:
        """Write what stands before the first failure."""
        from portroom.render.failures import csv_heading

        self._first = first
        if not self._counts_alone:
            headings = {"csv": csv_heading(), "jsonl": ""}
            self._write(headings.get(self._output, self._lines.heading()))

    def waiting(self, length_s: int | None) -> contextlib.AbstractContextManager[object]:
        """Show that it goes on, where nothing else is told until the end."""
        from portroom.cli.progress import working

        if not self._counts_alone:
            return contextlib.nullcontext()
        return working("watching", seconds=float(length_s or 0))

    def add(self, failures: Sequence[Failure]) -> None:
        """Write a line for each failure, all of them at once and without delay."""
        from portroom.render.failures import csv_lines, json_lines

        if self._counts_alone or not failures:
            return
        assert self._first is not None
        if self._output == "csv":
            self._write(csv_lines(failures))
        elif self._output == "jsonl":
            self._write(json_lines(failures, self._first))
        else:
            self._write(self._lines.lines(failures))

    def end(self, last: FailureCounts) -> None:
        """Write the counts; where lines of another form stand before, the sum is talk."""
        from portroom.cli.output import as_data, talk
        from portroom.render import failures as screen
        from portroom.render.gaps import as_sentence

        told = self._first.gaps if self._first else ()
        if self._is_table:
            blank = "" if self._counts_alone else "\n"
            self._write(blank + screen.as_text(last, self._look, told))
            return
        if self._counts_alone:
            self._write(as_data([last], screen, self._output, all_netns=False))
        else:
            talk(screen.summary(last))
        if self._output != "json":
            for gap in last.gaps:
                if gap not in told:
                    talk(as_sentence(gap))

    def _write(self, text: str) -> None:
        """Write lines to standard output now."""
        from portroom.cli.output import tell, write

        with self._ending.writing():
            if self._is_table:
                tell(text, self._look)
            else:
                write(text.encode())
