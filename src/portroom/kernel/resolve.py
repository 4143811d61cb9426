"""Names to addresses and service names to ports, within a deadline.

The system's resolver may block for half a minute where its own UDP ports are
exhausted, which is the very moment portroom is asked. So it runs on a thread
that is left behind when it takes too long.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from portroom.errors import InvalidRequestError
from portroom.model.facts.sockets import (
    Endpoint,
    Protocol,
    address_text,
    packed_address,
)
from portroom.model.laws.target import Target

DEADLINE_S = 2.0

RESOLVER_HINT = (
    "If the name is right, the resolver's own UDP ports may be exhausted: "
    "see `portroom headroom --proto udp`, and give the number instead of the name."
)

Found = TypeVar("Found")


def resolve(
    target: Target, protocol: Protocol, deadline_s: float = DEADLINE_S
) -> tuple[Endpoint, ...]:
    """
    Return each endpoint that a written destination means.

    Names are resolved where portroom runs, not inside a visited namespace.

    Args:
        target: Host and port as written; the port may be missing, it is 0 then.
        protocol: Service names may differ between TCP and UDP.
        deadline_s: Seconds for each of the two look-ups.

    Raises:
        InvalidRequestError: Unknown, or no answer before the deadline.
    """
    port = 0 if target.port is None else resolve_port(target.port, protocol, deadline_s)
    return tuple(Endpoint(address, port) for address in resolve_host(target.host, deadline_s))


def resolve_port(text: str, protocol: Protocol, deadline_s: float = DEADLINE_S) -> int:
    """
    Return the port that a number or a service name means.

    Raises:
        InvalidRequestError: The service is unknown, or nothing answered in time.
    """
    if text.isdecimal():
        return int(text)
    what = f"The service name {text!r}"
    try:
        return _within(lambda: socket.getservbyname(text, protocol.value), what, deadline_s)
    except (OSError, UnicodeError):
        raise InvalidRequestError(
            f"{what} is unknown for {protocol.value}.",
            hint="Give the port as a number.",
        ) from None


def resolve_host(text: str, deadline_s: float = DEADLINE_S) -> tuple[str, ...]:
    """
    Return the distinct addresses of a host, in the resolver's order.

    An address is its own answer and asks nobody; v4-mapped becomes IPv4.

    Raises:
        InvalidRequestError: The name is unknown, or nothing answered in time.
    """
    address, percent, zone = text.partition("%")
    try:
        return (address_text(*packed_address(address)) + percent + zone,)
    except ValueError:
        return _resolve_name(text, deadline_s)


def _resolve_name(name: str, deadline_s: float) -> tuple[str, ...]:
    """Ask the system's resolver for the addresses of a host name."""
    what = f"The host name {name!r}"
    try:
        found = _within(
            lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM),
            what,
            deadline_s,
        )
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidRequestError(
            f"{what} could not be resolved: {reason!r}.", hint=RESOLVER_HINT
        ) from None
    addresses = (str(entry[4][0]).partition("%")[0] for entry in found)
    return tuple(dict.fromkeys(address_text(*packed_address(a)) for a in addresses))


def _within(job: Callable[[], Found], what: str, deadline_s: float) -> Found:
    """Run *job* on a thread and return its result, or raise at the deadline."""
    outcome: list[Found | Exception] = []

    def run() -> None:
        """Keep the result or the error for the thread that waits."""
        try:
            outcome.append(job())
        except Exception as error:  # noqa: BLE001 - travels to the waiting thread
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(deadline_s)
    if not outcome:
        raise InvalidRequestError(
            f"{what} was not resolved within {deadline_s:g} s.", hint=RESOLVER_HINT
        )
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
