"""Check: the keys that a monitoring plugin judges. Changes nothing."""

from __future__ import annotations

from portroom.api.source import Saved, Source
from portroom.errors import PortroomError
from portroom.kernel.snapshot import Wanted
from portroom.model.facts.check import Checked, CheckQuestion, Rate, Verdict
from portroom.model.facts.questions import DEFAULT_LIMIT
from portroom.model.facts.snapshot import Snapshot
from portroom.model.facts.sockets import Endpoint, Protocol
from portroom.model.laws.headroom import Keys, KeysWanted, as_key, find_keys
from portroom.model.laws.range_use import range_use

LATELY_S = 300.0
"""What the history saw last is told for so long."""


def check(question: CheckQuestion, source: Source) -> Checked:
    """
    Return the keys that are judged, the tightest first.

    Args:
        question: All keys, or those to one remote.
        source: The kernel or a saved Snapshot.

    Raises:
        InvalidRequestError: The destination is none, or cannot be resolved.
        NotPermittedError: The namespace may not be entered.
    """
    wanted = _wanted(question)
    if isinstance(source, Saved):
        return _checked(source.snapshot, find_keys(source.snapshot, wanted))

    def job() -> Checked:
        """Read and answer inside the namespace."""
        routes = tuple((one.address, None) for one in wanted.remotes if one.port)
        read = source.take(Wanted(groups=True, routes=routes))
        return _checked(read, find_keys(read, wanted))

    return source.run(job)


def _wanted(question: CheckQuestion) -> KeysWanted:
    """Return the keys that a question is about: of TCP, where a remote is named."""
    if question.address is None:
        return KeysWanted(limit=DEFAULT_LIMIT)
    remotes = _remotes(question.address)
    return KeysWanted(Protocol.TCP, remotes=remotes, limit=DEFAULT_LIMIT)


def _remotes(address: str) -> tuple[Endpoint, ...]:
    """Return each endpoint that is meant."""
    from portroom.api.endpoints import find_remotes  # costs start-up

    return find_remotes(address, Protocol.TCP)


def _checked(read: Snapshot, keys: Keys) -> Checked:
    """Return the keys of a namespace, without owners: nobody is named."""
    use = range_use(read.settings)
    return Checked(
        host=read.host,
        taken_at=read.taken_at,
        netns=read.netns,
        gaps=(*read.gaps, *keys.gaps),
        keys=tuple(as_key(one) for one in keys.measured),
        eligible_ports=use.eligible_ports if use else None,
    )


def rate(question: CheckQuestion, found: Verdict, file: str | None = None) -> Rate:
    """
    Return how fast connections came lately, as the history of the daemon has it.

    Args:
        question: To one remote, else to the tightest key.
        found: Tells of which namespace.
        file: The history; None is where a daemon of this host keeps it.
    """
    from portroom.api.history import history  # costs start-up
    from portroom.model.facts.questions import HistoryQuestion

    asked = HistoryQuestion(
        since_s=LATELY_S,
        key=question.address,
        protocol=None if question.address is None else Protocol.TCP,
        netns=found.netns.name if found.netns else None,
        limit=1,
    )
    try:
        seen = history(asked, file)
    except PortroomError as error:
        return Rate(reason=str(error))
    moments = [moment for line in seen.lines[:1] for moment in line.moments]
    if not moments:
        return Rate(reason=f"the history has nothing of the last {LATELY_S:g} s")
    return Rate(moments[-1].connects_per_s, moments[-1].exhausted_in_s)
