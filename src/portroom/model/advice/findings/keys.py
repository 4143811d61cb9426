"""Rules about the tightest destinations: how full they are, and what keeps them so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portroom.model.advice import commands
from portroom.model.advice.findings.owned import identity
from portroom.model.advice.findings.ports import of_parity
from portroom.model.advice.findings.programs import bind_first, suspects
from portroom.model.advice.findings.words import are, destination, found, key_numbers
from portroom.model.advice.spelling import EXAMPLE
from portroom.model.advice.wording import count
from portroom.model.facts.answers import CRITICAL, INFO, WARNING, Finding, Key
from portroom.model.facts.gaps import Gap
from portroom.model.facts.scene import Scene
from portroom.model.facts.settings import setting_named
from portroom.model.facts.snapshot import Settings
from portroom.model.facts.sockets import Owner, packed_address
from portroom.model.laws.headroom import SPARE_PORTS
from portroom.model.laws.time_wait import TICK_MS, reuse_applies

CLIFF_RATIO = 0.5
"""
From here on connect() is slow: the half of the ports with the parity of the first is
tried in full before the other half. Measured, 50 to 200 times the time.

Source: Linux net/ipv4/inet_hashtables.c, __inet_hash_connect; kernel.md 8.1.
"""

CLIFF_PORTS = 2_000
"""
Ports of one parity from which the cliff is worth a word.

Each costs some 55 ns where it is held: 14,116 are 0.8 ms. 2,000 are a tenth of a
millisecond, and a connect() takes a fiftieth of one.
"""

TIGHT_RATIO = 0.8
"""A fifth is left: a burst of a quarter more than now does not fit."""

NEARLY_FULL_RATIO = 0.95
"""A twentieth is left: what an ordinary minute takes."""

LEVELS = ((NEARLY_FULL_RATIO, CRITICAL), (TIGHT_RATIO, WARNING), (CLIFF_RATIO, INFO))
"""What a key must be above to be so grave, the gravest first."""

MOST_TOLD = 5
"""Keys that are told; a table has the rest."""

MOSTLY = 0.5
"""The share of a key's sockets in TIME_WAIT from which reuse is what it lacks."""

REUSE = setting_named("tcp_tw_reuse")
DELAY = setting_named("tcp_tw_reuse_delay")
TIMESTAMPS = setting_named("tcp_timestamps")


def level(ratio: float) -> str:
    """
    Return how grave an occupancy is, "" where it is no worry.

    >>> [level(ratio) for ratio in (0.5, 0.51, 0.81, 0.96)]
    ['', 'info', 'warning', 'critical']
    """
    return next((severity for above, severity in LEVELS if ratio > above), "")


def tight_key(scene: Scene) -> Iterator[Finding]:
    """Find destinations with few ports left, by what is surely held."""
    told = [key for key in scene.keys if level(key.occupancy_ratio)]
    for key in told[:MOST_TOLD]:
        yield _tight(key, scene)
    if not told:
        yield from _in_doubt(scene)


def _tight(key: Key, scene: Scene) -> Finding:
    """Return the finding of one key."""
    full = "No port is left" if key.exhausted else f"{are(key.free_ports, 'port')} surely free"
    evidence = (
        f"{destination(key)} from {key.local_address}: {key.held_ports:,} of "
        f"{count(key.eligible_ports, 'eligible port')} held. {full}{_doubt(key)}."
        f"{_cliff(key, scene)}"
    )
    remedy, command = _more_room(key, scene)
    return found(
        level(key.occupancy_ratio),
        "tight_key",
        evidence,
        remedy,
        command=command,
        owners=key.owners,
        numbers=key_numbers(key) | {"doubtful_ports": key.doubtful_ports},
    )


def _doubt(key: Key) -> str:
    """Return how many ports are in doubt, as the end of a sentence."""
    if not key.doubtful_ports:
        return ""
    return f", and {are(key.doubtful_ports, 'more port')} in doubt: the kernel does not tell"


def _cliff(key: Key, scene: Scene) -> str:
    """Return what half a full range costs; UDP looks for ports in another way."""
    settings = scene.read.settings
    if key.protocol != "tcp" or isinstance(settings, Gap):
        return ""
    what, begin = ("bind() to port 0", 1) if key.operation == "bind0" else ("connect()", 0)
    first = of_parity(settings, (settings.ephemeral.first + begin) & 1)
    if first < CLIFF_PORTS:
        return ""
    return f" Each {what} tries up to {first:,} ports of one parity first, which takes long."


def _more_room(key: Key, scene: Scene) -> tuple[str, str]:
    """Return what gives a key more room, and the command to begin with."""
    settings, netns = scene.read.settings, scene.read.netns
    begin = _other_ways(key, scene)
    if isinstance(settings, Gap) or settings.ephemeral.ports >= EXAMPLE.ports:
        words = _explained(key)
        return begin, commands.portroom(words, netns)
    words = f"set range={EXAMPLE} --reserve --try"
    return f"{begin} A wider range helps at once.", commands.portroom(words, netns)


def _other_ways(key: Key, scene: Scene) -> str:
    """Return what gives a key more room beside a wider range."""
    if key.protocol == "udp":
        return "Let one socket talk to many peers; more local addresses give more ports."
    waiting = key.states.get("TIME_WAIT", 0)
    begin = "Share connections (a pool, multiplexing)."
    if waiting >= MOSTLY * sum(key.states.values()):
        begin = (
            f"Keep connections open (a pool, keep-alive): {are(waiting, 'socket')} in TIME_WAIT."
        )
    return f"{begin} {_second_address(key, scene)}"


def _second_address(key: Key, scene: Scene) -> str:
    """Return what a second address is good for: a bound port is lost whatever the destination."""
    if key.operation == "bind0":
        return "Sockets bound to a second address of this host have ports of their own."
    if _is_bound(key, scene):
        return (
            "A second address of the destination gives no more room while a program binds before "
            "it connects (bind_first)."
        )
    doubt = ", unless its program binds before it connects" if _may_be_bound(key, scene) else ""
    return f"A second address of the destination or of this host doubles the room{doubt}."


def _is_bound(key: Key, scene: Scene) -> bool:
    """Say whether ports of a key are bound, as the kernel said or as its program shows."""
    if scene.probed is not None and scene.probed.blocked:
        return True
    return any(_is_among(one.owners, key) for one in bind_first(scene))


def _may_be_bound(key: Key, scene: Scene) -> bool:
    """Say whether the kernel could tell more of a key's program, and was not asked."""
    return scene.probed is None and any(_is_among(one.owners, key) for one in suspects(scene))


def _is_among(owners: Iterable[Owner], key: Key) -> bool:
    """Say whether processes are of a program that has sockets of a key."""
    people = {identity(owner) for owner in key.owners}
    return any(identity(owner) in people for owner in owners)


def _explained(key: Key) -> str:
    """Return the words that explain why a key fails."""
    if key.remote_address is None:
        return "explain EAGAIN" if key.protocol == "udp" else "explain EADDRINUSE"
    return f"explain EADDRNOTAVAIL --remote {destination(key)}"


def _in_doubt(scene: Scene) -> Iterator[Finding]:
    """Find the fullest key whose sure figures are no worry, and that may be tight all the same."""
    doubtful = [key for key in scene.keys if key.occupancy_ratio_max > TIGHT_RATIO]
    if not doubtful:
        return
    key = max(doubtful, key=lambda one: one.occupancy_ratio_max)
    evidence = (
        f"{destination(key)} from {key.local_address} is in doubt: {key.held_ports:,} of "
        f"{count(key.eligible_ports, 'eligible port')} surely held, and of "
        f"{count(key.doubtful_ports, 'more port')} the kernel does not tell."
    )
    command = f"headroom {destination(key)} --probe"
    command += " --probe-last" if key.free_ports < SPARE_PORTS else ""
    yield found(
        INFO,
        "tight_key",
        evidence,
        "Let the kernel itself settle it; no packet is sent.",
        command=commands.portroom(command, scene.read.netns) if key.remote_address else "",
        owners=key.owners,
        numbers=key_numbers(key) | {"doubtful_ports": key.doubtful_ports},
    )


# How TIME_WAIT reuse really acts.


def tw_reuse(scene: Scene) -> Iterator[Finding]:
    """Find where tcp_tw_reuse does not do what a key full of TIME_WAITs needs."""
    settings = scene.read.settings
    if isinstance(settings, Gap):
        return
    key = next((one for one in scene.keys if _is_full_of_time_waits(one)), None)
    if key is None:
        yield from _no_timestamps(scene, settings)
        return
    why = _why_no_reuse(key, settings)
    if why is None:
        return
    sentence, remedy, command = why
    waiting = key.states["TIME_WAIT"]
    yield found(
        WARNING if key.occupancy_ratio > TIGHT_RATIO else INFO,
        "tw_reuse",
        f"{sentence}: {are(waiting, 'TIME_WAIT')} towards {destination(key)}, each for 60 s.",
        remedy,
        command=_placed(command, scene),
        owners=key.owners,
        numbers=key_numbers(key)
        | {
            "time_wait": waiting,
            REUSE.name: settings.number(REUSE.key, 0),
            TIMESTAMPS.name: settings.number(TIMESTAMPS.key, 1),
        },
    )


def _is_full_of_time_waits(key: Key) -> bool:
    """Say whether reuse of TIME_WAITs is what would help a key."""
    sockets = sum(key.states.values())
    return (
        key.protocol == "tcp"
        and key.remote_address is not None
        and key.occupancy_ratio > CLIFF_RATIO
        and key.states.get("TIME_WAIT", 0) >= max(MOSTLY * sockets, 1)
    )


def _why_no_reuse(key: Key, settings: Settings) -> tuple[str, str, str] | None:
    """Return why TIME_WAITs of a key are not reused soon, what to do, and the command."""
    reuse = settings.number(REUSE.key, 0)
    timestamps = settings.number(TIMESTAMPS.key, 1)
    delay_ms = settings.number(DELAY.key, TICK_MS)
    if reuse_applies(settings, *packed_address(key.local_address)):
        if delay_ms <= TICK_MS:
            return None
        return (
            f"tcp_tw_reuse_delay is {delay_ms:,} ms, so a TIME_WAIT is not reused before",
            "Shorten the delay to a second, the kernel's default.",
            f"set {DELAY.name}={TICK_MS}",
        )
    if not timestamps:
        return (
            f"tcp_timestamps is 0, so nothing is reused, whatever tcp_tw_reuse ({reuse}) says",
            "Switch timestamps on, here and at the peers; connections made from then on count.",
            f"{TIMESTAMPS.key}=1",
        )
    acts = "acts on loopback alone" if reuse == 2 else "switches reuse off"
    return (
        f"tcp_tw_reuse is {reuse}, which {acts}",
        (
            "Keep connections open first. With 1, connect() takes over a TIME_WAIT once it is a "
            "second old, if both ends use timestamps; ports got by bind() to port 0 stay out."
        ),
        f"set {REUSE.name}=1 --try",
    )


def _no_timestamps(scene: Scene, settings: Settings) -> Iterator[Finding]:
    """Find reuse that somebody asked for and that cannot act."""
    if settings.number(REUSE.key, 0) == 1 and not settings.number(TIMESTAMPS.key, 1):
        yield found(
            INFO,
            "tw_reuse",
            "tcp_tw_reuse is 1 and tcp_timestamps is 0: without timestamps no TIME_WAIT is reused.",
            "Switch timestamps on, here and at the peers.",
            command=_placed(f"{TIMESTAMPS.key}=1", scene),
            numbers={REUSE.name: 1, TIMESTAMPS.name: 0},
        )


def _placed(words: str, scene: Scene) -> str:
    """Return a command of portroom, or one that sets a sysctl which portroom does not."""
    netns = scene.read.netns
    if words.startswith("set "):
        return commands.portroom(words, netns)
    key, _, value = words.partition("=")
    return commands.sysctl(key, int(value), netns)
