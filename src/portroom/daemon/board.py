"""The board: the newest Watched, who waits for the next, and what was rendered of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from portroom.model.facts.watched import Watched
from portroom.render.metrics import Destinations

MOST_BODIES = 64
"""Bodies remembered of one Watched: each endpoint of a few namespaces."""

MOST_BYTES = 8 << 20
"""Of all of them together; what goes beyond is rendered for each request."""


class Board:
    """
    Holds the newest Watched for all who ask; belongs to one event loop.

    Nobody is queued for: who was busy while several came sees the newest of them.
    ``published`` counts them, ``streams`` those who stay on the line; ``seen`` are labels
    that metrics were told with, which outlast a configuration.
    """

    def __init__(self) -> None:
        self.newest: Watched | None = None
        self.published = 0
        self.streams = 0
        self.seen: Destinations | None = None
        self.is_closed = False
        self._changed = asyncio.Event()
        self._bodies: dict[str, bytes] = {}
        self._bytes = 0

    def publish(self, watched: Watched) -> None:
        """
        Put up the newest, and wake all who wait for it.

        Args:
            watched: What is known now.
        """
        self.newest = watched
        self.published += 1
        self._bodies, self._bytes = {}, 0
        self._wake()

    def close(self) -> None:
        """End every iteration of ``updates``, now and later."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        """Wake all who wait, and let others wait for the next time."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def updates(self) -> AsyncIterator[Watched]:
        """Yield the newest Watched, then each later one, until the board is closed."""
        told = None
        while True:
            changed = self._changed
            if self.newest is not None and self.newest is not told:
                told = self.newest
                yield told
            elif self.is_closed:
                return
            else:
                await changed.wait()

    def found(self, name: str) -> bytes | None:
        """Return what was rendered of the newest under a name, None where nothing was."""
        return self._bodies.get(name)

    def body(self, name: str, watched: Watched, render: Callable[[], bytes]) -> bytes:
        """
        Return a rendering of *watched*, made once however many ask.

        Args:
            name: What tells it from others of the same Watched.
            watched: Of what it is; one that is not the newest any more is not remembered.
            render: What makes it.
        """
        if watched is not self.newest:
            return render()
        found = self._bodies.get(name)
        if found is None:
            found = render()
            if len(self._bodies) < MOST_BODIES and self._bytes + len(found) <= MOST_BYTES:
                self._bodies[name] = found
                self._bytes += len(found)
        return found
