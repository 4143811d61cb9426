"""Terminal: whether a change could cut off who makes it. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from portroom.kernel import terminal


def is_remote(environment: Mapping[str, str]) -> bool:
    """Say whether this command was typed on another host, by the process's *environment*."""
    return terminal.is_remote(environment)
