"""Check: the keys that a monitoring plugin judges. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from portroom.api.source import Saved, Source
from portroom.errors import PortroomError
from portroom.kernel.snapshot import Wanted
from portroom.model.facts.check import Checked, CheckQuestion, Rate, Verdict
from portroom.model.facts.questions import DEFAULT_LIMIT
from portroom.model.facts.snapshot import Snapshot
from portroom.model.facts.sockets import Endpoint, Protocol
from portroom.model.facts.watched import Moment
from portroom.model.laws.headroom import Keys, KeysWanted, as_key, find_keys
from portroom.model.laws.range_use import range_use

LATELY_S = 300.0
"""What the history saw last is told for so long."""

NOTHING = Rate(reason=f"the history has nothing of this namespace within {LATELY_S:g} s")


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
        found: Tells of which key and namespace.
        file: The history; None is where a daemon of this host keeps it.
    """
    remote = None if question.address is None else _remote(found)
    try:
        tightest = _lately(None, found, file)
        moments = _lately(remote, found, file) if remote else ()
    except PortroomError as error:
        # Figures follow in the same line, so it is no sentence, and its hint is left out.
        return Rate(reason=error.message.rstrip("."))
    if not tightest:
        return NOTHING
    # A key that is not among those remembered has no rate; that is no fault.
    last = moments[-1:] if question.address is not None else tightest[-1:]
    return Rate(last[0].connects_per_s, last[0].exhausted_in_s) if last else Rate()


def _remote(found: Verdict) -> str | None:
    """Return the remote of the key that is told of, as the history is asked for it."""
    key = found.key
    if key is None or key.remote_address is None:
        return None
    from portroom.render.units import endpoint

    return endpoint(key.remote_address, key.remote_port)


def _lately(remote: str | None, found: Verdict, file: str | None) -> Sequence[Moment]:
    """
    Return the last moments of a key, or of the tightest one, in the namespace that is told of.

    Raises:
        PortroomError: There is no history, or it cannot be read.
    """
    from portroom.api.history import history  # costs start-up
    from portroom.model.facts.questions import HistoryQuestion

    assert found.netns is not None
    asked = HistoryQuestion(
        since_s=LATELY_S,
        key=remote,
        protocol=None if remote is None else Protocol.TCP,
        netns=found.netns.lasting_name,
    )
    lines = history(asked, file).lines
    return lines[0].moments if lines else ()
