"""User names: what this host calls a uid."""

from __future__ import annotations

from collections.abc import Iterable


def read_user_names(uids: Iterable[int]) -> dict[int, str]:
    """
    Return the names of those uids that have one here.

    Each is looked up once, through the C library: a directory service may be
    asked. A name is hostile text.
    """
    import pwd

    names = {}
    for uid in set(uids):
        try:
            names[uid] = pwd.getpwuid(uid).pw_name
        except (KeyError, OverflowError):
            continue
    return names
