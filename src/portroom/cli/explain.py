"""`portroom explain`: why a connect, bind or send fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from portroom.cli.complete import complete_file, complete_netns
from portroom.cli.options import exit_statuses, output_options, source
from portroom.errors import InvalidRequestError

if TYPE_CHECKING:
    from portroom.api.source import Source
    from portroom.model.facts.explanation import ExplainQuestion

ANY = "*"
"""What stands for any local address before a port."""


def complete_error(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return the errnos that begin so: names, or numbers after a digit."""
    from portroom.model.facts.explanation import ERRORS

    known = map(str, ERRORS.values()) if begun[:1].isdigit() else iter(ERRORS)
    return [word for word in known if word.startswith(begun.upper())]


@click.command(epilog=exit_statuses())
@click.argument("errno", metavar="[ERRNO]", nargs=-1, shell_complete=complete_error)
@click.option(
    "--remote",
    metavar="ADDRESS:PORT",
    help="Where the connect or send goes; unasked, the tightest destinations.",
)
@click.option(
    "--from",
    "local",
    metavar="ADDRESS[:PORT]",
    help="The local end; *:PORT is a port on any address.",
)
@click.option(
    "--proto",
    type=click.Choice(("tcp", "udp")),
    help="Protocol; unasked TCP, or what the error can come from.",
)
@click.option(
    "--pid",
    type=click.IntRange(min=1),
    metavar="PID",
    help="The process that fails; looks from inside its network namespace.",
)
@click.option("--no-probe", is_flag=True, help="Do not let the kernel settle ports in doubt.")
@output_options
@click.option(
    "--netns",
    metavar="NAME|PID|PATH",
    shell_complete=complete_netns,
    help="Look into this network namespace.",
)
@click.option(
    "--snapshot",
    metavar="FILE",
    shell_complete=complete_file,
    help="Answer from a saved Snapshot, not from the kernel.",
)
def explain(
    errno: tuple[str, ...],
    output: str,
    plain: bool,
    netns: str | None,
    snapshot: str | None,
    pid: int | None,
    **words: Any,
) -> None:
    """Why a connect, bind or send fails, and what to do.

    ERRNO is a number (99), a name (EADDRNOTAVAIL) or the message of a log (Cannot
    assign requested address): EADDRNOTAVAIL, EADDRINUSE, EAGAIN, ETIMEDOUT, EPERM,
    EMFILE or ENFILE; nothing is whatever would fail now.

    Each cause of it is decided by evidence: found, possible where the kernel leaves
    a doubt, ruled out, or not to be seen from here. Ports in doubt are settled by the
    kernel itself, in a way that sends no packet and stops once two ports are free.
    Needs no root, though root sees more; changes nothing.
    """
    from portroom.cli.output import show
    from portroom.cli.progress import working

    question = _question(errno, pid=pid, **words)
    where = _source(netns, snapshot, pid)
    # Wrong words are told without what only an answer needs.
    from portroom.api import explain as asking
    from portroom.render import explanation as screen

    waits = snapshot is None and question.error in asking.ON_THE_PATH
    with working("looking for the cause", seconds=asking.WATCH_S if waits else 0.0):
        answer = asking.explain(question, where)
    show([answer], screen, output=output, plain=plain, pager=True)


def _question(
    errno: Sequence[str],
    *,
    pid: int | None,
    remote: str | None,
    local: str | None,
    proto: str | None,
    no_probe: bool,
) -> ExplainQuestion:
    """Return the question, once its words are understood."""
    from portroom.model.facts.explanation import ExplainQuestion
    from portroom.model.facts.sockets import Protocol
    from portroom.model.laws.error_words import parse_error

    error = parse_error(errno)
    if errno and error is None:
        raise InvalidRequestError(
            "An empty word names no error.", "Leave it out to ask for whatever would fail now."
        )
    _check_several(errno)
    _check_remote(remote)
    address, port = _local_end(local)
    return ExplainQuestion(
        error=error,
        remote=remote,
        from_address=address,
        from_port=port,
        protocol=Protocol(proto) if proto else None,
        pid=pid,
        probe=not no_probe,
    )


def _check_several(errno: Sequence[str]) -> None:
    """Refuse words of which each is another error by itself: ``99 98``."""
    from portroom.model.facts.explanation import ERRORS
    from portroom.model.laws.error_words import parse_error

    numbers = {str(number) for number in ERRORS.values()}
    named = [word for word in errno if word in numbers or word.upper() in ERRORS]
    if len({parse_error([word]) for word in named}) > 1:
        raise InvalidRequestError(f"{' and '.join(named)} are several errors.", "Ask for one.")


def _check_remote(text: str | None) -> None:
    """Refuse a remote without a port: nothing is connected to an address alone."""
    from portroom.model.laws.target import parse_target

    if text is not None and parse_target(text).port is None:
        raise InvalidRequestError(
            f"--remote: {text!r} has no port.", "Write ADDRESS:PORT or [IPV6-ADDRESS]:PORT."
        )


def _local_end(text: str | None) -> tuple[str | None, int]:
    """Return local address and port as they were written; None and 0 for any."""
    from portroom.model.laws.target import parse_target

    if text is None:
        return None, 0
    any_address = text.startswith(":") and text[1:].isascii() and text[1:].isdigit()
    target = parse_target(ANY + text if any_address else text)
    if target.port is not None and not target.port.isdecimal():
        raise InvalidRequestError(f"--from: {target.port!r} is no port number.")
    return None if target.host == ANY else target.host, int(target.port or 0)


def _source(netns: str | None, snapshot: str | None, pid: int | None) -> Source:
    """Return where to read; a process brings its own namespace."""
    if pid is not None and snapshot is not None:
        raise click.UsageError("--pid asks the kernel: not with --snapshot.")
    if pid is not None and netns is not None:
        raise click.UsageError("--pid looks into the namespace of the process: not with --netns.")
    (one,) = source(netns, False, snapshot)
    return one
