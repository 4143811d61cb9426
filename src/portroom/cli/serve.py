"""`portroom serve`: stay on, sample, remember, answer and warn."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

import click

from portroom.cli.complete import complete_file
from portroom.cli.options import exit_statuses, snapshot_option

Serve = Callable[[str | None, tuple[str, ...], str | None], int]


@click.command(
    epilog=exit_statuses(
        _0="answered; ended by SIGTERM, as a service manager does it",
        _2="wrong usage, or a key or value of the configuration that cannot be",
        _3="an address is in use, or a right is missing",
        _130="ended by Ctrl-C",
    )
)
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS:PORT",
    help="Answer there; may be given several times. Unasked, port 9765 of loopback.",
)
@click.option("--interval", metavar="DURATION", help="Time from sample to sample: 10s unasked.")
@click.option(
    "--history",
    metavar="FILE",
    shell_complete=complete_file,
    help="Remember in this database; unasked, in the state folder.",
)
@click.option(
    "--config",
    metavar="FILE",
    shell_complete=complete_file,
    help="Configuration; unasked, /etc/portroom.toml if there is one.",
)
@click.option(
    "--set",
    "keys",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of the configuration, such as alerts.warning=0.7; over the file.",
)
@click.option("--all-netns", is_flag=True, help="Sample every network namespace.")
@snapshot_option
def serve(
    listen: tuple[str, ...],
    interval: str | None,
    history: str | None,
    config: str | None,
    keys: tuple[str, ...],
    all_netns: bool,
    snapshot: str | None,
) -> int:
    """Stay on: sample, remember, answer by HTTP, and warn.

    Needs no root; without it, owners of other users' sockets have no names. Answers on
    loopback alone unless --listen says more, and then wants a token of other hosts.
    Changes nothing but its own folder.

    SIGHUP reads the configuration anew; SIGTERM and Ctrl-C end it.
    """
    words = keys + _words(listen, interval, history, all_netns=all_netns)
    # Doors do not know each other: this one is opened by name, and only here.
    begin = cast("Serve", import_module("portroom.daemon.serve").serve)
    return begin(config, words, snapshot)


def _words(
    listen: tuple[str, ...], interval: str | None, history: str | None, *, all_netns: bool
) -> tuple[str, ...]:
    """Return options as words of the configuration."""
    words = [f"serve.listen={place}" for place in listen]
    words += [f"serve.interval={interval}"] if interval is not None else []
    words += [f"history.file={history}"] if history is not None else []
    words += ["serve.all_netns=true"] if all_netns else []
    return tuple(words)
