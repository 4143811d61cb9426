"""Words and commands that several causes share.

Names of processes, devices and namespaces are hostile text: whoever prints escapes
it, and what goes into a command is quoted for the shell here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from portroom.model.advice.commands import inside, netns_option
from portroom.model.advice.wording import be as are
from portroom.model.advice.wording import count, listed, owner_words
from portroom.model.facts.answers import Key
from portroom.model.facts.gaps import NOT_LOOKED_AT, Gap
from portroom.model.facts.scene import ProcessSeen, Scene
from portroom.model.facts.snapshot import NetnsId
from portroom.model.facts.sockets import Endpoint, Owner


def percent(part: int, whole: int) -> str:
    """
    Return a share in whole percent, rounded down; less than one is said so.

    >>> percent(9, 10), percent(1, 28232), percent(0, 5)
    ('90 %', '<1 %', '0 %')
    """
    if not part or not whole:
        return "0 %"
    return f"{part * 100 // whole} %" if part * 100 >= whole else "<1 %"


def every(eligible: int) -> str:
    """
    Return all eligible ports, to begin a sentence.

    >>> every(1), every(28232)
    ('The only port that the kernel may choose', 'All 28,232 ports that the kernel may choose')
    """
    ports = "The only port" if eligible == 1 else f"All {eligible:,} ports"
    return f"{ports} that the kernel may choose"


UNSEEN_WORDS = "This kernel does not list sockets that are only bound"
"""What begins a sentence about them; how many there may be follows."""


def up_to(sockets: int) -> str:
    """
    Return how many sockets that show nowhere there may be, to stand within a sentence.

    >>> up_to(1), up_to(1200)
    ('there may be 1', 'there may be up to 1,200')
    """
    return f"there may be {'up to ' if sockets > 1 else ''}{sockets:,}"


def states_words(states: Mapping[str, int]) -> str:
    """
    Return sockets by state, the most first.

    >>> states_words({"ESTABLISHED": 1120, "TIME_WAIT": 27112})
    '27,112 TIME_WAIT, 1,120 ESTABLISHED'
    """
    most = sorted(states.items(), key=lambda entry: (-entry[1], entry[0]))
    return listed([f"{sockets:,} {state}" for state, sockets in most])


def owners_words(owners: Iterable[Owner]) -> str:
    """
    Return a sentence that names the processes, those with most sockets first; "" for none.

    >>> owners_words([Owner(7, 1, "web", 0, None, None, 1200), Owner(8, 1, "db", 0, None, None)])
    ' Owners: web (pid 7, 1,200 sockets), db (pid 8).'
    """
    most = sorted(owners, key=lambda one: (-one.sockets, one.pid))
    return f" Owners: {listed([_counted(one) for one in most])}." if most else ""


def _counted(owner: Owner) -> str:
    """Return a process with how many sockets it has, where that was counted."""
    held = f", {count(owner.sockets, 'socket')}" if owner.sockets else ""
    return f"{owner.command} (pid {owner.pid}{held})"


def gap_words(gap: Gap) -> str:
    """
    Return why something is not known, to stand after a colon.

    >>> gap_words(Gap("rows", NOT_LOOKED_AT)), gap_words(Gap("rows", "EPERM"))
    ('nobody looked', 'EPERM')
    """
    return "nobody looked" if gap.reason.startswith(NOT_LOOKED_AT) else gap.reason.rstrip(".")


def remote_of(key: Key) -> str:
    """Return the remote endpoint of a connect key."""
    return str(Endpoint(key.remote_address or "", key.remote_port or 0))


def command(scene: Scene, *words: str) -> str:
    """Return a portroom command that looks where the scene was read."""
    process = scene.process
    if words[0] == "explain" and isinstance(process, ProcessSeen):
        return f"portroom {shlex.join(words)} --pid {process.owner.pid}"
    return f"portroom {shlex.join(words)}{option(scene)}"


def tool(scene: Scene, words: str) -> str:
    """Return a command of another program that looks where the scene was read."""
    return inside(words, scene.read.netns) if option(scene) else words


def option(scene: Scene) -> str:
    """Return what a command must add to look where the scene was read; "" for here."""
    netns = scene.read.netns
    if scene.here is not None and same_netns(scene.here, netns):
        return ""
    return netns_option(netns)


def same_netns(one: NetnsId, other: NetnsId) -> bool:
    """Say whether two are one namespace: by the cookie, by the inode without one."""
    if one.cookie is not None and other.cookie is not None:
        return one.cookie == other.cookie
    return one.inode == other.inode


def netns_words(netns: NetnsId) -> str:
    """
    Return what a namespace is called in a sentence.

    >>> netns_words(NetnsId("shop", 1, 2, "named"))
    'network namespace shop'
    """
    return (
        "the host's network namespace"
        if netns.kind == "host"
        else (f"network namespace {netns.name}")
    )


__all__ = [
    "UNSEEN_WORDS",
    "are",
    "command",
    "count",
    "every",
    "gap_words",
    "listed",
    "netns_option",
    "netns_words",
    "option",
    "owner_words",
    "owners_words",
    "percent",
    "remote_of",
    "same_netns",
    "states_words",
    "tool",
    "up_to",
]
