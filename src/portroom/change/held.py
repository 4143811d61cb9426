"""Namespaces of a change, each held open by a descriptor until the change has ended.

Rules of this file:

- a namespace is found once; whatever becomes of its name or its processes, all
  steps go to the same one, and it cannot end before;
- its cookie is compared through the descriptor: what was found is what was meant.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Self, TypeVar

from portroom.errors import ConflictError, InvalidRequestError, NotPermittedError
from portroom.kernel.namespaces import find_again, inside, open_checked, read_cookie
from portroom.kernel.netns_names import NetnsRef
from portroom.model.facts.change import SettingStep, Step
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.trial import NetnsKey

Result = TypeVar("Result")


class Held:
    """
    Namespaces that are held open; leaving the ``with`` block lets them go.

    A namespace is opened when it is first needed, or all by ``open``.
    """

    def __init__(self) -> None:
        self._refs: dict[NetnsKey, NetnsRef | None] = {}
        self._descriptors = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let all namespaces go."""
        self._refs.clear()
        self._descriptors.close()

    def open(self, steps: Iterable[Step]) -> None:
        """
        Hold the namespaces of steps that still exist.

        Raises:
            NotPermittedError: Looking, or entering, is not allowed.
        """
        for step in steps:
            if isinstance(step, SettingStep):
                self.exists(step.netns)

    def exists(self, netns: NetnsId) -> bool:
        """
        Say whether a namespace exists; if so, it is held from now on.

        Raises:
            NotPermittedError: Looking, or entering, is not allowed.
        """
        key = key_of(netns)
        if key not in self._refs:
            try:
                self._refs[key] = self._hold(netns)
            except NotPermittedError as error:
                raise NotPermittedError.changing(error.message, error.hint) from None
        return self._refs[key] is not None

    def run(self, netns: NetnsId, job: Callable[[], Result]) -> Result:
        """
        Return what *job* returns inside a namespace.

        Raises:
            ConflictError: It is gone.
            NotPermittedError: Looking, or entering, is not allowed.
        """
        if not self.exists(netns):
            raise ConflictError(f"The network namespace {netns.name!r} is gone.")
        ref = self._refs[key_of(netns)]
        assert ref is not None
        return inside(ref, job)

    def _hold(self, netns: NetnsId) -> NetnsRef | None:
        """Return a namespace by a descriptor of our own, None where it is gone."""
        found = find_again(netns)
        if found is None:
            return None
        try:
            descriptor = open_checked(found)
        except InvalidRequestError:
            # Between two looks it ended; nothing else held it, or it would have been found.
            return None
        self._descriptors.callback(os.close, descriptor)
        held = NetnsRef(netns, f"/proc/self/fd/{descriptor}")
        same = netns.cookie is None or inside(held, read_cookie) == netns.cookie
        return held if same else None


def key_of(netns: NetnsId) -> NetnsKey:
    """
    Return what tells a namespace from all others of this boot.

    >>> key_of(NetnsId("web", 7, 4026532000, "named"))
    ('cookie', 7)
    >>> key_of(NetnsId("web", None, 4026532000, "named"))
    ('inode', 4026532000)
    """
    return ("inode", netns.inode) if netns.cookie is None else ("cookie", netns.cookie)


@contextlib.contextmanager
def held_or_new(held: Held | None) -> Iterator[Held]:
    """Give what is held already, and let nothing of it go; or something new that is let go."""
    if held is not None:
        yield held
        return
    with Held() as new:
        yield new
