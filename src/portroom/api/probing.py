"""Let the kernel itself settle doubt, as far as it can be asked: port by port, or once."""

from __future__ import annotations

from portroom.api.scene import NOBODY
from portroom.errors import InvalidRequestError
from portroom.kernel import probe as asking
from portroom.kernel.probe import Probed
from portroom.model.facts.questions import HeadroomQuestion
from portroom.model.facts.snapshot import Gap, Settings, Snapshot
from portroom.model.facts.sockets import Endpoint
from portroom.model.laws.any_port import answered, is_open_question, unsure_ends, would_take_over
from portroom.model.laws.headroom import (
    SPARE_PORTS,
    Doubt,
    Keys,
    as_key,
    doubts,
    settle,
    with_figures,
)
from portroom.model.laws.tightest import Measured
from portroom.model.laws.untold import is_connect, untold

TAKES_OVER = (
    "not probed where a TIME_WAIT of the key may be reused: the search for a port would take "
    "it over, so that ports in doubt stay in doubt"
)
LAST_PORTS = (
    "The probe would hold one of the last ports: fewer than 2 are surely free, "
    "and a connect of a program would fail meanwhile."
)

NOTHING = Probed(frozenset(), frozenset())


def is_asked_once(read: Snapshot) -> bool:
    """Say whether this kernel tells of no single port, but whether there is any."""
    return read.features.range_option is False


def probed(read: Snapshot, keys: Keys, question: HeadroomQuestion) -> Keys:
    """
    Return the keys after the kernel settled what it can be asked.

    Raises:
        InvalidRequestError: One of the last ports would be held, and nobody allowed it.
        NotSupportedError: This kernel cannot be asked without a packet.
    """
    if isinstance(read.settings, Gap):
        return keys
    if is_asked_once(read):
        return _any_port(read, read.settings, keys, question)
    # Thousands of ports are asked about for who names a destination, not for every key.
    every = doubts(read, keys.measured, whole=question.address is not None)
    asked = [doubt for doubt in every if question.probe_last or _spares_a_port(doubt.measured)]
    gaps = _left_alone(len(every) - len(asked), question)
    before = keys
    for doubt in asked:
        answer = asking.probe(*ends(doubt.measured), sorted(doubt.ports))
        keys = settle(
            keys, doubt.measured.id, answer.free, answer.held, read.settings, whole=doubt.whole
        )
    return _with_gaps(read, before, keys, gaps)


def _any_port(read: Snapshot, settings: Settings, keys: Keys, question: HeadroomQuestion) -> Keys:
    """Return the keys after the kernel said of each that has none for sure whether any is left."""
    before = keys
    open_keys = [one for one in keys.measured if is_connect(one) and is_open_question(one)]
    asked = open_keys if question.probe_last else []
    gaps = _left_alone(len(open_keys) - len(asked), question)
    for one in asked:
        if would_take_over(one, settings):
            gaps += (Gap("probe", TAKES_OVER, ("keys",)),)
        else:
            port = asking.probe_any(*ends(one))
            keys = with_figures(keys, one.id, answered(one.figures, port, settings))
    return _with_gaps(read, before, keys, gaps)


def _with_gaps(read: Snapshot, before: Keys, keys: Keys, gaps: tuple[Gap, ...]) -> Keys:
    """Return the keys with what could not be asked, and without what is no gap any more."""
    told = untold(read.features, before.measured)
    others = tuple(gap for gap in keys.gaps if gap not in told)
    stays = untold(read.features, keys.measured)
    return Keys(keys.measured, keys.total, (*others, *stays, *dict.fromkeys(gaps)))


def settle_enough(
    read: Snapshot, keys: Keys, doubt: Doubt, settings: Settings
) -> tuple[Keys, Probed, tuple[Gap, ...]]:
    """
    Return the keys after the kernel found ports enough for one of them, or what there is.

    What it said of which port comes with it, and what it could not be asked.
    """
    one = doubt.measured
    if not is_asked_once(read):
        said = asking.probe(*ends(one), sorted(doubt.ports), enough=SPARE_PORTS)
        return settle(keys, one.id, said.free, said.held, settings), said, ()
    if not is_open_question(one):
        return keys, NOTHING, ()
    if would_take_over(one, settings):
        return keys, NOTHING, (Gap("probe", TAKES_OVER, ("causes",)),)
    port = asking.probe_any(*ends(one))
    keys = with_figures(keys, one.id, answered(one.figures, port, settings))
    return keys, told(port, doubt.ports, settings), ()


def ask_for_nobody(read: Snapshot, ports: frozenset[int], settings: Settings) -> Probed:
    """
    Return which of *ports* a destination that nobody is connected to would get.

    Args:
        read: What the kernel can be asked.
        ports: Those in doubt, where no other is free for sure.
        settings: The range.
    """
    if is_asked_once(read):
        return told(asking.probe_any(NOBODY, NOBODY.address), ports, settings)
    return asking.probe(NOBODY, NOBODY.address, sorted(ports), enough=SPARE_PORTS)


def told(port: int | None, ports: frozenset[int], settings: Settings) -> Probed:
    """Return what one search tells of *ports*: the one that it found is free, or all are held."""
    sure = ports - unsure_ends(settings)
    if port is None:
        return Probed(frozenset(), sure)
    return Probed(sure & {port}, frozenset())


def ends(measured: Measured) -> tuple[Endpoint, str]:
    """Return where a connection of a key would go, and from where."""
    key = as_key(measured)
    return Endpoint(key.remote_address or "", key.remote_port or 0), key.local_address


def _left_alone(refused: int, question: HeadroomQuestion) -> tuple[Gap, ...]:
    """
    Return that keys were not probed because ports are few.

    Raises:
        InvalidRequestError: They were asked about by name.
    """
    if refused and question.address is not None:
        raise InvalidRequestError(LAST_PORTS, "Give --probe-last to probe all the same.")
    reason = f"not probed: {refused} keys with fewer than {SPARE_PORTS} ports surely free"
    return (Gap("probe", reason, ("keys",)),) if refused else ()


def _spares_a_port(one: Measured) -> bool:
    """Say whether a port stays free for programs while the probe holds one."""
    return one.figures.free_ports >= SPARE_PORTS
