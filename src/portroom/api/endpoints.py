"""Endpoints that a user wrote: resolved, checked, and as connect() would take them."""

from __future__ import annotations

from portroom.errors import InvalidRequestError
from portroom.model.facts.sockets import Endpoint, Protocol


def find_remotes(text: str, protocol: Protocol) -> tuple[Endpoint, ...]:
    """
    Return each endpoint that a written destination means; port 0 where it has none.

    Args:
        text: ``ADDRESS``, ``ADDRESS:PORT`` or a host name instead of the address.
        protocol: Service names may differ between TCP and UDP.

    Raises:
        InvalidRequestError: It is no destination, or cannot be resolved.
    """
    from portroom.kernel.resolve import resolve
    from portroom.model.laws.target import parse_target

    return tuple(map(_reached, resolve(parse_target(text), protocol)))


def _reached(remote: Endpoint) -> Endpoint:
    """Return where connect() really goes: the wildcard is this host's loopback."""
    from portroom.kernel.route import LOOPBACK
    from portroom.model.facts.sockets import is_wildcard, packed_address

    family, packed = packed_address(remote.address)
    return Endpoint(LOOPBACK[family], remote.port) if is_wildcard(packed) else remote


def check_local(text: str | None, remotes: tuple[Endpoint, ...]) -> str | None:
    """
    Return the local address that the user wrote, or None for none.

    Raises:
        InvalidRequestError: It is no address, or of another family than a remote.
    """
    if text is None:
        return None
    from portroom.model.facts.sockets import packed_address

    try:
        family, _ = packed_address(text)
    except ValueError:
        raise InvalidRequestError(
            f"--from: {text!r} is no address.", "Give an IPv4 or IPv6 address of this host."
        ) from None
    if any(packed_address(remote.address)[0] is not family for remote in remotes):
        raise InvalidRequestError(
            f"--from: {text!r} and the destination are of different families."
        )
    return text
