"""Which lines of history a question is about."""

from __future__ import annotations

from portroom.history.packed_keys import unpack
from portroom.model.facts.questions import HistoryQuestion
from portroom.model.facts.sockets import packed_address
from portroom.model.facts.watched import KeyName
from portroom.model.laws.endpoint_filter import (
    EVERY_ENDPOINT,
    EndpointFilter,
    parse_endpoint_filter,
)

Place = tuple[str, bytes]
"""A line: the name of its namespace, and its key packed."""


class Asked:
    """
    Which lines a question is about.

    Raises:
        InvalidRequestError: Its key is no endpoint.
    """

    def __init__(self, question: HistoryQuestion) -> None:
        self._netns = question.netns
        self._protocol = question.protocol.value if question.protocol else None
        key = question.key
        self._remote = EVERY_ENDPOINT if key is None else parse_endpoint_filter(key)
        self.tightest = key is None and self._protocol is None

    def is_in(self, place: Place) -> bool:
        """Say whether a line is among those asked for."""
        netns, packed = place
        if self._netns not in {None, netns}:
            return False
        if not packed:
            return self.tightest
        key = unpack(packed)
        return self._protocol in {None, key.protocol} and _is_remote(key, self._remote)


def _is_remote(key: KeyName, wanted: EndpointFilter) -> bool:
    """Say whether the remote of a key passes a filter; one without passes only what all pass."""
    if wanted.passes_all:
        return True
    if key.remote_address is None or (key.remote_port or 0) not in wanted.ports:
        return False
    return wanted.matches_address(*packed_address(key.remote_address))
