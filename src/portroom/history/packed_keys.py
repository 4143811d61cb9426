"""A key of history in few bytes, and back.

A row has its key inside it, twenty times a sample: 11 bytes for IPv4, where the text
would have 40.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from portroom.model.facts.sockets import (
    Family,
    Operation,
    Protocol,
    address_text,
    packed_address,
)
from portroom.model.facts.watched import KeyName

PROTOCOLS = tuple(one.value for one in Protocol)
OPERATIONS = tuple(one.value for one in Operation)

IPV6, REMOTE, SPELLED = 0x10, 0x20, 0xFF
"""Bits of the first byte beside the operation; SPELLED is a key that no bits tell."""

MOST_REMEMBERED = 4096
"""A key comes again with the next sample; so many are 2 MB at most."""


@lru_cache(MOST_REMEMBERED)
def pack(key: KeyName) -> bytes:
    """
    Return a key in few bytes, the same ones each time.

    >>> len(pack(KeyName("tcp", "connect", "10.0.0.1", "10.0.0.9", 443)))
    12
    """
    try:
        packed = _pack(key)
        if _unpack(packed) == key:
            return packed
    except (ValueError, AttributeError, UnicodeError):
        pass  # nothing that a kernel tells, and kept all the same
    return bytes([SPELLED]) + msgspec.msgpack.encode(key)


def _pack(key: KeyName) -> bytes:
    """
    Return a key as bits, bytes of addresses, port and the name of the VRF.

    Raises:
        ValueError: It has something that this form has no place for.
    """
    family, local = packed_address(key.local_address or "")
    length = 4 if family is Family.IPV4 else 16
    first = OPERATIONS.index(key.operation or "") | (IPV6 if length == 16 else 0)
    parts = [local[:length]]
    if key.remote_address is not None:
        parts += [packed_address(key.remote_address)[1][:length]]
        parts += [(key.remote_port or 0).to_bytes(2, "big")]
        first |= REMOTE
    vrf = (key.vrf or "").encode()
    return bytes([first, PROTOCOLS.index(key.protocol or "")]) + b"".join(parts) + vrf


@lru_cache(MOST_REMEMBERED)
def unpack(packed: bytes) -> KeyName:
    """
    Return the key that was packed; no bytes at all are the tightest key at each moment.

    Raises:
        ValueError: These bytes are no key.

    >>> key = KeyName("udp", "connect", "::1", None, None, "blue")
    >>> unpack(pack(key)) == key
    True
    """
    if not packed:
        return KeyName()
    try:
        if packed[0] == SPELLED:
            return msgspec.msgpack.decode(packed[1:], type=KeyName)
        return _unpack(packed)
    except (IndexError, msgspec.MsgspecError) as error:
        raise ValueError(f"no key: {packed[:40].hex()}") from error


def _unpack(packed: bytes) -> KeyName:
    """Return the key of ``_pack``."""
    first, protocol = packed[:2]
    family, length = (Family.IPV6, 16) if first & IPV6 else (Family.IPV4, 4)
    local, rest = packed[2 : 2 + length], packed[2 + length :]
    remote, port = None, None
    if first & REMOTE:
        remote = address_text(family, rest[:length].ljust(16, b"\0"))
        port = int.from_bytes(rest[length : length + 2], "big")
        rest = rest[length + 2 :]
    return KeyName(
        protocol=PROTOCOLS[protocol],
        operation=OPERATIONS[first & 0x0F],
        local_address=address_text(family, local.ljust(16, b"\0")),
        remote_address=remote,
        remote_port=port,
        vrf=rest.decode() or None,
    )
