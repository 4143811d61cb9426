"""`portroom snapshot`: save what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from portroom.cli.complete import complete_file, complete_netns
from portroom.cli.options import exit_statuses, source
from portroom.cli.output import is_terminal
from portroom.errors import InvalidRequestError

if TYPE_CHECKING:
    from portroom.model.facts.snapshot import Snapshot


@click.command(epilog=exit_statuses(_4="the file could not be written; nothing was changed"))
@click.option(
    "--out",
    metavar="FILE",
    shell_complete=complete_file,
    help="Write to this file, mode 0600; - is standard output.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there already.")
@click.option("--sessions", is_flag=True, help="Keep every single socket, its queues and owners.")
@click.option("--redact", is_flag=True, help="Replace addresses, names and ids; counts stay.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(("snapshot", "json")),
    default="snapshot",
    show_default=True,
    help="snapshot is compact and is what --snapshot reads; json is for other programs.",
)
@click.option(
    "--netns",
    metavar="NAME|PID|PATH",
    shell_complete=complete_netns,
    help="Look into this network namespace.",
)
@click.option(
    "--snapshot",
    "saved",
    metavar="FILE",
    shell_complete=complete_file,
    help="Pass a saved Snapshot on, to redact it.",
)
def snapshot(
    out: str | None,
    force: bool,
    sessions: bool,
    redact: bool,
    output: str,
    netns: str | None,
    saved: str | None,
) -> None:
    """Save what was read, to answer from it later.

    Each command that reads answers from the file with --snapshot FILE as it would
    have answered from the kernel. Without --out it goes to standard output, if
    that is no terminal. Single sockets are in it with --sessions alone. Needs no
    root, changes nothing but FILE.
    """
    from portroom.api import save
    from portroom.cli.files import check_target, write_file
    from portroom.cli.output import write
    from portroom.cli.progress import working

    out = None if out == "-" else out
    _check(out, force, output)
    if out is not None:
        check_target(out, replace=force)
    (where,) = source(netns, False, saved)
    with working("reading"):
        taken = save.snapshot(where, sessions=sessions, redacted=redact)
        content = _encoded(taken, output)
    if out is None:
        write(content)
    else:
        write_file(out, content, replace=force)


def _check(out: str | None, force: bool, output: str) -> None:
    """Refuse what would end as bytes on a terminal, or does not go together."""
    if out is None and force:
        raise click.UsageError("--force goes with --out FILE.")
    if out is None and output == "snapshot" and is_terminal():
        raise InvalidRequestError(
            "A Snapshot is no text for a terminal.",
            hint="Add --out FILE, or -o json, or redirect it.",
        )


def _encoded(taken: Snapshot, output: str) -> bytes:
    """Return a Snapshot as the bytes of the format that was asked for."""
    from portroom.model.facts import codec

    if output == "snapshot":
        return codec.encode(taken)
    from portroom.render.document import indented

    return indented(codec.encode_json(taken)).encode()
