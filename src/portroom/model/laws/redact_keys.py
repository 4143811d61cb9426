"""Replace names in keys of sysctl files that a path goes into and leaves again.

Rules of this file: a name and its replacement have the same length, as bytes of
a file stay at their place; two names never become the same, as keys that are the
same override each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from portroom.model.facts.settings import KEYS
from portroom.model.laws.sysctl_lines import FOLDERS, detours

Masks = Mapping[bytes, bytes]
"""Replacements by name."""

NO_MASKS: Masks = MappingProxyType({})

FOLDER_NAMES = frozenset(
    {b"proc", b"sys"}
    | {name for folder in FOLDERS for name in folder.split(b"/")}
    | {name.encode() for key in KEYS for name in key.split(".")}
)
"""Names that every kernel has: they lead somewhere, and tell nothing."""

OF_PATTERNS = b"*?[]{},\\"
"""What makes a name stand for others."""


def masked_names(names: Iterable[bytes]) -> dict[bytes, bytes] | None:
    """
    Return the replacements of names, None where a name has none.

    >>> masked_names([b"alice", b"net", b"bobby", b"alice"])
    {b'alice': b'xxxxx', b'bobby': b'xxxx1'}
    >>> masked_names([b"a*"]) is None
    True
    """
    masks: dict[bytes, bytes] = {}
    ranks: dict[int, int] = {}
    for name in names:
        if name in masks or name in FOLDER_NAMES:
            continue
        rank = ranks[len(name)] = ranks.get(len(name), -1) + 1
        digits = b"%d" % rank if rank else b""
        if len(digits) > len(name) or _stands_for_others(name):
            return None
        masks[name] = digits.rjust(len(name), b"x")
    return masks


def _stands_for_others(name: bytes) -> bool:
    """Say whether a name is a pattern, or no text, so that programs take its line otherwise."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return True
    return bool(set(OF_PATTERNS) & set(name))


def without_detours(key: bytes, masks: Masks) -> bytes:
    """
    Return a key with other names where it makes a detour.

    >>> without_detours(b"net/alice/../ipv4/tcp_tw_reuse ", {b"alice": b"xxxxx"})
    b'net/xxxxx/../ipv4/tcp_tw_reuse '
    """
    for at, name in detours(key):
        key = key[:at] + masks.get(name, name) + key[at + len(name) :]
    return key
