"""Whom the sysctl files of a system reach: of which sysctls they do not decide, and why.

Rules of this file:

- the files reach the network namespace in which the system boots, and what
  holds for the whole system;
- a sysctl that is not in the table counts as one of a namespace if it is below ``net``.

Source: Linux net/ipv4/af_inet.c, inet_init_net: a new namespace begins with the
defaults that the kernel was built with.
"""

from __future__ import annotations

from collections.abc import Iterable

from portroom.model.facts.gaps import NOT_LOOKED_AT
from portroom.model.facts.settings import SETTINGS, Scope
from portroom.model.facts.snapshot import NetnsId, Settings, Snapshot

ELSEWHERE = (
    f"{NOT_LOOKED_AT}: the boot files of the host do not reach this namespace, "
    "which starts from the kernel's defaults"
)

NOT_SURELY_HERE = (
    f"{NOT_LOOKED_AT}: the boot files of a host reach the namespace of its process 1, which "
    "this one is not known to be; any other starts from the kernel's defaults"
)

SYSTEM_WIDE = (
    f"{NOT_LOOKED_AT}: what holds for the whole system is set where the host boots, "
    "not by the files of this container"
)

ONLY_INITIAL = "net.ipv4.tcp_max_orphans"
"""The sysctl that the initial network namespace alone has."""

SCOPES = {row.key: row.scope for row in SETTINGS}


def barred(read: Snapshot, keys: Iterable[str], *, looked: bool) -> dict[str, str]:
    """
    Return the sysctls that the files of this system do not decide, and why.

    Args:
        read: Its namespace and its part ``settings`` are used.
        keys: Dotted.
        looked: Whether the files were read.
    """
    own = read.netns.kind == "host"
    reasons = {
        Scope.NAMESPACE: "" if own else _why_not_here(read.netns),
        Scope.SYSTEM: SYSTEM_WIDE if own and looked and is_container(read) else "",
    }
    found = {key: reasons[_scope(key)] for key in keys}
    return {key: reason for key, reason in found.items() if reason}


def is_container(read: Snapshot) -> bool:
    """Say whether the first namespace of this system is surely not that of the host."""
    return isinstance(read.settings, Settings) and ONLY_INITIAL not in read.settings.values


def _scope(key: str) -> Scope:
    """Return whom a sysctl reaches."""
    return SCOPES.get(key, Scope.NAMESPACE if key.startswith("net.") else Scope.SYSTEM)


def _why_not_here(netns: NetnsId) -> str:
    """Return why boot files do not decide in a namespace; a user may not see whose it is."""
    return NOT_SURELY_HERE if netns.kind == "process" else ELSEWHERE
