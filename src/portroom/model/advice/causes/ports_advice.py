"""What to do about ports that run out for connect(), and what to run next."""

from __future__ import annotations

from typing import NamedTuple

from portroom.model.advice.causes.table import NOT_AVAILABLE, TIMED_OUT, Advice
from portroom.model.advice.causes.words import command, remote_of
from portroom.model.facts.answers import Key
from portroom.model.facts.explanation import ExplainQuestion
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import Scene
from portroom.model.facts.settings import setting_named
from portroom.model.facts.snapshot import Settings
from portroom.model.facts.sockets import packed_address
from portroom.model.laws.time_wait import reuse_applies

WIDE_RANGE = PortRange(15000, 64001)
"""A range to plan with: 49_002 ports, above those that most services have."""

TIMESTAMPS = setting_named("tcp_timestamps").key

BIND_LATER = (
    "A port that is bound before connect() is lost for all destinations, not for one: let the "
    "program set IP_BIND_ADDRESS_NO_PORT on the socket before bind(), or not bind at all. Move "
    "listeners out of the range."
)

UNBLOCK_FIRST = (
    "See first to the programs that bind before they connect, and to listeners in the range: "
    "while their ports are out for all, no other destination or local address has any to give."
)

NOT_TOLD = (
    "The kernel was asked, and does not say it of each port here. See whether these programs bind "
    "before they connect: only then are ports out for every other destination."
)

MORE_PLACES = "more destination addresses or ports, or more local addresses, have as many again"


class ByState(NamedTuple):
    """What helps where most sockets are in one state; *words* are the next command."""

    remedy: str
    words: tuple[str, ...] = ()


IN_USE = ByState(
    "The connections are in use: a pool with a limit, of connections that live longer, needs "
    f"fewer ports; {MORE_PLACES}."
)

BY_STATE = {
    "TIME_WAIT": ByState(
        "Keep connections open and use them again (keep-alive, a pool): each one that this end "
        f"closes holds its port for 60 seconds more. Or {MORE_PLACES}."
    ),
    "ESTABLISHED": IN_USE,
    "CLOSE_WAIT": ByState(
        "The other end closed, and the program here does not: it leaks connections. Mend the "
        "program; a restart frees the ports for now.",
        ("sessions", "--state", "CLOSE_WAIT"),
    ),
    "SYN_SENT": ByState(
        "The destination does not answer, and every attempt holds a port until it gives up. See "
        "why, and let the program give up sooner.",
        ("explain", TIMED_OUT),
    ),
    "FIN_WAIT2": ByState(
        "This end closed, and the other does not: mend the other end. Without a process here the "
        "kernel lets go after tcp_fin_timeout.",
        ("sessions", "--state", "FIN_WAIT2"),
    ),
}


def more_room(key: Key, scene: Scene) -> Advice:
    """Return what helps a destination that is full of its own connections."""
    state = max(key.states, key=lambda one: (key.states[one], one), default="")
    one = BY_STATE.get(state, IN_USE)
    if one.words:
        return Advice(one.remedy, command(scene, *one.words, "--remote", remote_of(key)))
    settings = scene.read.settings
    if isinstance(settings, Gap):
        return Advice(one.remedy)
    if state == "TIME_WAIT" and _reuse_helps(key, settings):
        return Advice(
            f"{one.remedy} With tcp_tw_reuse=1 a new connection takes over a TIME_WAIT after a "
            "second, if both ends use timestamps.",
            command(scene, "set", "tcp_tw_reuse=1", "--dry-run"),
        )
    if settings.ephemeral.ports < WIDE_RANGE.ports:
        return Advice(
            f"{one.remedy} A wider range has more ports for each destination; its plan tells what "
            "it would meet.",
            command(scene, "set", f"range={WIDE_RANGE}", "--reserve", "--dry-run"),
        )
    return Advice(one.remedy, command(scene, "sessions", "--remote", remote_of(key)))


def _reuse_helps(key: Key, settings: Settings) -> bool:
    """Say whether TIME_WAIT towards a key is not reused now, and would be with tcp_tw_reuse=1."""
    if not settings.number(TIMESTAMPS, 1):
        return False
    return not reuse_applies(settings, *packed_address(key.local_address))


def settle(key: Key, scene: Scene) -> Advice:
    """Return how the doubt about one destination is settled."""
    return Advice(
        "Let the kernel itself say what is left: the probe sends no packet, and holds one port for "
        "microseconds.",
        command(scene, "headroom", remote_of(key), "--probe", "--probe-last"),
    )


def ask_the_kernel(asked: ExplainQuestion, scene: Scene) -> Advice:
    """Return how the doubt whether a destination's ports are out for all is settled, if it can."""
    if scene.probed is not None:
        return Advice(NOT_TOLD, holders(scene))
    remote = ("--remote", asked.remote) if asked.remote else ()
    return Advice(
        "Let the kernel itself be asked, without a packet: leave out --no-probe.",
        command(scene, "explain", asked.error or NOT_AVAILABLE, *remote),
    )


def name_it(asked: ExplainQuestion, scene: Scene) -> Advice:
    """Return how the doubt about any destination is settled: by naming one."""
    return Advice(
        "Name the destination that fails: then the kernel itself is asked.",
        command(scene, "explain", asked.error or NOT_AVAILABLE, "--remote", "ADDRESS:PORT"),
    )


def name_source(asked: ExplainQuestion, key: Key, scene: Scene) -> Advice:
    """Return how a program that goes from another local address is asked about."""
    words = ("--remote", remote_of(key), "--from", key.local_address)
    return Advice(
        f"If the program binds {key.local_address}, name it: then that is what is judged.",
        command(scene, "explain", asked.error or NOT_AVAILABLE, *words),
    )


def watch() -> Advice:
    """Return how failures that come and go are seen."""
    return Advice(
        "See the failures as they happen, with process and destination.", "portroom trace"
    )


def holders(scene: Scene) -> str:
    """Return the command that lists the sockets on ports of the range."""
    settings = scene.read.settings
    if isinstance(settings, Gap):
        return ""
    return command(scene, "sessions", "--proto", "tcp", "--local", f":{settings.ephemeral}")
