"""Commands that an advice tells to run: exact, and in the namespace that it is about.

Rules of this file:

- a command is what a person can paste: words from elsewhere are quoted for the shell;
- what a terminal must not see is escaped by whoever prints it.
"""

from __future__ import annotations

from portroom.model.facts.snapshot import NetnsId


def portroom(words: str, netns: NetnsId | None = None) -> str:
    """
    Return a command of portroom that looks into, or changes, a namespace.

    Args:
        words: Command and arguments.
        netns: The namespace; None is that of the caller.

    >>> portroom("set tcp_tw_reuse=1", NetnsId("a shop", 1, 2, "named"))
    "portroom set tcp_tw_reuse=1 --netns 'a shop'"
    >>> portroom("doctor", NetnsId("host", 1, 2, "host"))
    'portroom doctor'
    """
    return f"portroom {words}{netns_option(netns)}"


def netns_option(netns: NetnsId | None) -> str:
    """
    Return what a command must add to look into a namespace; "" for the host.

    >>> netns_option(NetnsId("net:[4026532000]", None, 4026532000, "container", 99))
    ' --netns 99'
    """
    word = _word(netns)
    return f" --netns {_quoted(word)}" if word else ""


def sysctl(key: str, value: int, netns: NetnsId | None = None) -> str:
    """
    Return the command that sets a sysctl which portroom does not.

    >>> sysctl("net.ipv4.tcp_timestamps", 1)
    'sysctl -w net.ipv4.tcp_timestamps=1'
    >>> sysctl("net.ipv4.tcp_timestamps", 1, NetnsId("shop", 1, 2, "named"))
    'ip netns exec shop sysctl -w net.ipv4.tcp_timestamps=1'
    """
    return inside(f"sysctl -w {key}={value}", netns)


def inside(command: str, netns: NetnsId | None) -> str:
    """
    Return a command of another program as it runs inside a namespace.

    >>> inside("conntrack -S", NetnsId("net:[4026532000]", None, 4026532000, "container", 99))
    'nsenter --net --target 99 conntrack -S'
    """
    word = _word(netns)
    if netns is None or not word:
        return command
    if netns.kind == "named":
        return f"ip netns exec {_quoted(word)} {command}"
    return f"nsenter --net --target {word} {command}"


def _word(netns: NetnsId | None) -> str:
    """Return what names a namespace in a command; "" for the host, or where nothing does."""
    if netns is None or netns.kind == "host":
        return ""
    if netns.kind == "named":
        return netns.name
    return "" if netns.pid is None else str(netns.pid)


def _quoted(word: str) -> str:
    """Return a word as a shell takes it."""
    from shlex import quote  # costs start-up

    return quote(word)
