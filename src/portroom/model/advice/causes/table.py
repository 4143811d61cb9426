"""The causes that explain knows, and the errnos that each gives: one table.

Rules of this file: a cause is made by ``cause`` alone, so that its errnos and its
page stand here and nowhere else. ``title`` completes "It fails because …".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from portroom.model.facts.explanation import FOUND, POSSIBLE, RULED_OUT, UNKNOWN, Cause


class Row(NamedTuple):
    """
    One cause.

    Args:
        title: What is the matter, as the end of a sentence.
        errors: The errnos that it gives, by name.
    """

    title: str
    errors: tuple[str, ...]


NOT_AVAILABLE, IN_USE, AGAIN = "EADDRNOTAVAIL", "EADDRINUSE", "EAGAIN"
TIMED_OUT, NOT_PERMITTED = "ETIMEDOUT", "EPERM"
PROCESS_FILES, SYSTEM_FILES = "EMFILE", "ENFILE"

CAUSES: Mapping[str, Row] = {
    "key_full": Row("connections to the same destination hold every local port", (NOT_AVAILABLE,)),
    "ports_blocked": Row(
        "listeners and sockets that bound first keep the local ports from every destination",
        (NOT_AVAILABLE,),
    ),
    "narrowed_range": Row(
        "reserved ports or the program's own window leave too few ports to choose from",
        (NOT_AVAILABLE, IN_USE, AGAIN),
    ),
    "tuple_clash": Row(
        "a connection with exactly these two endpoints exists already", (NOT_AVAILABLE,)
    ),
    "address_not_local": Row("the local address is not one of this host", (NOT_AVAILABLE,)),
    "no_source_address": Row(
        "there is no local address to go from to that destination", (NOT_AVAILABLE,)
    ),
    "bind0_pool_full": Row("bind() to port 0 finds every port held by some socket", (IN_USE,)),
    "udp_pool_full": Row("UDP sockets hold every local port", (AGAIN, IN_USE)),
    "port_taken": Row("another socket is bound to the port", (IN_USE,)),
    "port_held_by_outgoing": Row("an outgoing connection holds the port", (IN_USE,)),
    "conntrack_full": Row("the table of tracked connections is full", (TIMED_OUT, NOT_PERMITTED)),
    "snat_exhausted": Row("address translation has no port left", (TIMED_OUT,)),
    "accept_queue_full": Row(
        "a listener of this host does not accept its connections fast enough", (TIMED_OUT,)
    ),
    "no_answer": Row("the destination does not answer", (TIMED_OUT,)),
    "firewall_refuses": Row(
        "a firewall, a BPF program or a security module refuses it", (NOT_PERMITTED,)
    ),
    "open_files": Row("no more files may be opened", (PROCESS_FILES, SYSTEM_FILES)),
    "unix_backlog_full": Row("the backlog of a unix socket is full", (AGAIN,)),
    "other_namespace": Row(
        "it happens in another network namespace", (NOT_AVAILABLE, IN_USE, AGAIN)
    ),
}
"""Every cause, in the order in which those of one verdict are told."""


def page(name: str) -> str:
    """
    Return the page of the documentation about a cause.

    >>> page("key_full")
    'docs/causes/key_full.md'
    """
    return f"docs/causes/{name}.md"


Figures = Mapping[str, int | float | str]
"""The figures in a sentence, by name."""


class Advice(NamedTuple):
    """What to do, in plain words, and the next command; "" where there is none."""

    remedy: str
    command: str = ""


NO_ADVICE = Advice("")


def cause(
    name: str, verdict: str, sentence: str, figures: Figures, advice: Advice = NO_ADVICE
) -> Cause:
    """Return a cause with its verdict, its errnos and its page."""
    return Cause(
        name=name,
        verdict=verdict,
        errors=CAUSES[name].errors,
        sentence=sentence,
        numbers=dict(figures),
        remedy=advice.remedy,
        command=advice.command,
        page=page(name),
    )


def found(name: str, sentence: str, advice: Advice, figures: Figures) -> Cause:
    """Return a cause that the evidence proves."""
    return cause(name, FOUND, sentence, figures, advice)


def possible(name: str, sentence: str, advice: Advice, figures: Figures) -> Cause:
    """Return a cause that the evidence neither proves nor excludes."""
    return cause(name, POSSIBLE, sentence, figures, advice)


def unknown(name: str, sentence: str, command: str = "") -> Cause:
    """Return a cause for which something could not be looked at."""
    return cause(name, UNKNOWN, sentence, {}, Advice("", command))


def ruled_out(name: str, sentence: str, figures: Figures | None = None) -> Cause:
    """Return a cause that the evidence excludes."""
    return cause(name, RULED_OUT, sentence, figures or {})
