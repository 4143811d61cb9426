"""`portroom alerts`: what alerts there are, and whether they reach you."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from portroom.cli.complete import complete_file
from portroom.cli.options import exit_statuses, output_options

if TYPE_CHECKING:
    from portroom.model.facts.config import Alerts

LIST, TEST = "list", "test"


@click.command(
    epilog=exit_statuses(
        _1="test: not every address took the message",
        _2="wrong usage, or a key or value of the configuration that cannot be",
    )
)
@click.argument("what", type=click.Choice((LIST, TEST)), default=LIST)
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
@output_options
def alerts(what: str, config: str | None, keys: tuple[str, ...], output: str, plain: bool) -> None:
    """What alerts there are, and whether they reach you.

    `list` tells each rule with the threshold that holds, how long it has to last, and
    whether it is sent. `test` sends a message to every address that the configuration
    names, and says which took it. `portroom serve` sends them when they happen. Needs
    no root, changes nothing.
    """
    from portroom.api.configuration import configuration

    found = configuration(config, keys).alerts
    if what == TEST:
        _test(found)
        return
    from portroom.api import alerts as asking
    from portroom.cli.output import show
    from portroom.render import alert_rules as screen

    show([asking.rules(found)], screen, output=output, plain=plain)


def _test(config: Alerts) -> None:
    """
    Send a message to every address.

    Raises:
        SystemExit: One of them did not take it.
    """
    import os

    from portroom import __version__
    from portroom.api.alerts import checked_addresses, kind_of, send
    from portroom.cli.output import write
    from portroom.errors import InvalidRequestError
    from portroom.render.alert import trial_message
    from portroom.render.units import printable

    addresses = checked_addresses(config)
    if not addresses:
        raise InvalidRequestError(
            "There is nobody to notify: alerts.notify and alerts.notify_file name no address.",
            'An example is notify = ["mailto://user:password@example.com"] in [alerts].',
        )
    message = trial_message(os.uname().nodename, __version__)
    refused = 0
    for place, address in enumerate(addresses, 1):
        reason = send(address, *message)
        refused += bool(reason)
        outcome = f"not sent: {printable(reason)}" if reason else "sent"
        write(f"{place}. {kind_of(address)}: {outcome}\n".encode())
    if refused:
        raise SystemExit(1)
