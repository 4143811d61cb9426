"""It happens elsewhere: the process, or the exhausted key, is in another network namespace."""

from __future__ import annotations

import shlex

from portroom.model.advice.causes.narrowed import judged_keys
from portroom.model.advice.causes.pools import no_search, went
from portroom.model.advice.causes.table import (
    AGAIN,
    IN_USE,
    NOT_AVAILABLE,
    Advice,
    Figures,
    found,
    possible,
    ruled_out,
    unknown,
)
from portroom.model.advice.causes.words import (
    are,
    count,
    gap_words,
    netns_option,
    netns_words,
    owner_words,
    owners_words,
    remote_of,
    same_netns,
    states_words,
)
from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import Cause, ExplainQuestion
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Elsewhere, NamespaceRange, ProcessSeen, Scene
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.sockets import Operation, Protocol, is_loopback, packed_address

NAME = "other_namespace"

SEARCHES: dict[str, tuple[str, Protocol | None]] = {
    NOT_AVAILABLE: (Operation.CONNECT.value, Protocol.TCP),
    IN_USE: (Operation.BIND0.value, None),
    AGAIN: (Operation.CONNECT.value, Protocol.UDP),
}
"""Which search gives an errno: the operation, and the protocol; None for either."""


def other_namespace(asked: ExplainQuestion, scene: Scene) -> Cause | None:
    """Judge whether somebody else's namespace is the one to look at."""
    if asked.error == NOT_AVAILABLE and asked.protocol is Protocol.UDP:
        return None
    if isinstance(scene.process, Gap):
        return unknown(NAME, f"The process could not be looked at: {gap_words(scene.process)}.")
    if isinstance(scene.process, ProcessSeen):
        return _of_process(asked, scene, scene.process)
    if no_search(asked, scene):
        return None  # No pool is asked for a port, so a full one elsewhere explains nothing.
    if not other_is_possible(asked, scene):
        return ruled_out(NAME, f"Ports are used up here, in {netns_words(scene.read.netns)}.")
    return _of_keys(asked, scene)


def other_is_possible(asked: ExplainQuestion, scene: Scene) -> bool:
    """Say whether a pool of another namespace may be the one: a search, and ports left here."""
    if no_search(asked, scene):
        return False
    return not any(key.exhausted for key in judged_keys(asked, scene))


def _of_keys(asked: ExplainQuestion, scene: Scene) -> Cause:
    """Return the verdict about the keys of other namespaces."""
    if isinstance(scene.elsewhere, Gap):
        return unknown(
            NAME,
            f"Other network namespaces were not looked into: {gap_words(scene.elsewhere)}.",
            "portroom headroom --all-netns",
        )
    tight = [one for one in scene.elsewhere if _is_about(one, asked, scene)]
    for one in tight:
        if one.key.exhausted:
            return _full(one, asked, scene)
    if tight:
        return _tight(tight[0])
    return ruled_out(NAME, "In no other network namespace that was seen are ports used up.")


def _is_about(one: Elsewhere, asked: ExplainQuestion, scene: Scene) -> bool:
    """Say whether a key of another namespace is one that gives this failure."""
    key = one.key
    if same_netns(one.netns, scene.read.netns):
        return False
    if asked.error is not None:
        operation, protocol = SEARCHES[asked.error]
        if key.operation != operation or key.protocol != (protocol or Protocol(key.protocol)).value:
            return False
    if asked.protocol is not None and key.protocol != asked.protocol.value:
        return False
    return asked.remote is None or key.remote_address is None or _is_to(key, scene)


def _is_to(key: Key, scene: Scene) -> bool:
    """Say whether a key is towards the destination that is asked about."""
    remotes = [path.remote for path in went(scene)]
    return not remotes or any(
        remote.port == key.remote_port
        and packed_address(remote.address) == packed_address(key.remote_address or "::")
        for remote in remotes
    )


def _pool_words(key: Key) -> str:
    """Return what looks for a port there."""
    if key.remote_address is not None:
        return f"towards {remote_of(key)}"
    if key.operation == Operation.BIND0.value:
        return f"for {key.protocol.upper()} bind() to port 0 on {key.local_address}"
    return f"for {key.protocol.upper()} on {key.local_address}"


def _numbers(key: Key, netns: NetnsId) -> Figures:
    """Return the figures of a key, and where it is."""
    return {
        "netns": netns.name,
        "eligible_ports": key.eligible_ports,
        "held_ports": key.held_ports,
        "free_ports": key.free_ports,
    }


def _next(key: Key, netns: NetnsId) -> str:
    """Return the command that asks the same in the other namespace."""
    if key.remote_address is not None:
        remote = shlex.quote(remote_of(key))
        return f"portroom explain {NOT_AVAILABLE} --remote {remote}{netns_option(netns)}"
    if key.operation == Operation.BIND0.value:
        words = f"explain {IN_USE} --from {shlex.quote(key.local_address)} --proto {key.protocol}"
        return f"portroom {words}{netns_option(netns)}"
    return f"portroom explain {AGAIN} --proto udp{netns_option(netns)}"


LOOK_THERE = (
    "The process that fails is there, not here. Look there, and change settings there: those of "
    "this namespace do not reach it."
)


def _full(one: Elsewhere, asked: ExplainQuestion, scene: Scene) -> Cause:
    """
    Return the verdict about a key that is exhausted in another namespace.

    It is the failure that is asked about only if the destination says so: one
    of loopback is another one in each namespace, and without one any may be meant.
    """
    key = one.key
    text = (
        f"Ports are left here, in {netns_words(scene.read.netns)}; in {netns_words(one.netns)} "
        f"no port is left {_pool_words(key)}, of {key.eligible_ports:,} that the kernel may "
        f"choose: {states_words(key.states)}.{owners_words(key.owners)}"
    )
    advice = Advice(LOOK_THERE, _next(key, one.netns))
    if asked.remote is None or key.remote_address is None:
        if key.remote_address and is_loopback(*packed_address(key.remote_address)):
            text += f" {key.remote_address} is each namespace's own."
        text += " Whether that is the failure, only its process tells: name it with --pid."
        return possible(NAME, text, advice, _numbers(key, one.netns))
    if is_loopback(*packed_address(key.remote_address)):
        text += f" {key.remote_address} is another place there: only a program of that namespace "
        text += "meets it."
        return possible(NAME, text, advice, _numbers(key, one.netns))
    return found(NAME, text, advice, _numbers(key, one.netns))


def _tight(one: Elsewhere) -> Cause:
    """Return the verdict about a key that is or may be nearly exhausted in another namespace."""
    key = one.key
    text = (
        f"In {netns_words(one.netns)} {count(key.free_ports, 'port')} of {key.eligible_ports:,} "
        f"{are(key.free_ports)} surely free {_pool_words(key)}."
    )
    if key.doubtful_ports:
        text += f" Of {count(key.doubtful_ports, 'port')} the kernel does not tell."
    return possible(NAME, text, Advice(LOOK_THERE, _next(key, one.netns)), _numbers(key, one.netns))


def _of_process(asked: ExplainQuestion, scene: Scene, process: ProcessSeen) -> Cause:
    """Return the verdict about the namespace of the process that is asked about."""
    there, read = process.netns, scene.read.netns
    who = owner_words(process.owner)
    error = f"{asked.error} " if asked.error else ""
    if not same_netns(there, read):
        return found(
            NAME,
            f"{who} is in {netns_words(there)}; what was read is {netns_words(read)}.",
            Advice(LOOK_THERE, f"portroom explain {error}--pid {process.owner.pid}"),
            {"netns": there.name},
        )
    if scene.here is None or same_netns(there, scene.here):
        return ruled_out(NAME, f"{who} is in the namespace that was looked at.")
    mine, its = _range_of(scene.here, scene), _range_of(there, scene)
    inside = f"{who} is in {netns_words(there)}, not in {netns_words(scene.here)}"
    exhausted = any(key.exhausted for key in judged_keys(asked, scene))
    if not exhausted or mine is None or its is None or _ports(its) >= _ports(mine):
        return ruled_out(NAME, f"{inside}; all of this was seen from inside it.")
    return found(
        NAME,
        f"{inside}: there the range is {its.range} with {count(_ports(its), 'eligible port')}, here "
        f"{mine.range} with {_ports(mine):,}. Settings are not handed on to new namespaces.",
        Advice(
            "Set the range where the container or pod is started, or in the namespace itself.",
            f"portroom set range={mine.range} --reserve --dry-run{netns_option(there)}",
        ),
        {
            "netns": there.name,
            "eligible_ports": _ports(its),
            "eligible_ports_here": _ports(mine),
        },
    )


def _range_of(netns: NetnsId, scene: Scene) -> NamespaceRange | None:
    """Return the range of a namespace, None where it was not read."""
    if isinstance(scene.ranges, Gap):
        return None
    return next((one for one in scene.ranges if same_netns(one.netns, netns)), None)


def _ports(one: NamespaceRange) -> int:
    """Return the eligible ports of a namespace."""
    return one.range.ports - one.reserved_ports
