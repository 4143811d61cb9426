"""`portroom report`: one paste with everything that support asks for."""

from __future__ import annotations

import click

from portroom.cli.options import exit_statuses, netns_option, snapshot_option, source

WATCHED_S = 1.0
"""Seconds between two readings of the counters."""


@click.command(epilog=exit_statuses())
@click.option("--redact", is_flag=True, help="Replace addresses, names and ids; counts stay.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(("markdown", "json")),
    default="markdown",
    show_default=True,
    help="markdown is to be pasted, and reads as plain text; json is for other programs.",
)
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII characters alone.")
@netns_option
@snapshot_option
def report(redact: bool, output: str, plain: bool, netns: str | None, snapshot: str | None) -> None:
    """One paste with everything that support asks for.

    Status, the tightest destinations with their owners, sessions by state and as `ss -s`
    counts them, findings, settings and what the next boot gives, limits, counters of the
    kernel, failed connects if portroom-trace.service counts them, the latest changes, what
    this kernel can tell, and versions. All of it is of one Snapshot, so that no two figures
    contradict each other. With --redact nothing tells whose it is.

    Takes a second, for counters are read twice. Needs no root, though root sees more;
    changes nothing.
    """
    from portroom.api import report as asking
    from portroom.cli.output import style, write
    from portroom.cli.progress import working
    from portroom.render import report as screen

    (where,) = source(netns, False, snapshot)
    with working("reading, and watching the counters"):
        answer = asking.report(where, redacted=redact, watch_s=WATCHED_S)
    text = screen.as_json(answer) if output == "json" else None
    write((text or screen.as_markdown(answer, style(plain=plain))).encode())
