"""Findings in words: how one is made, and how keys and programs are called.

Names of processes are hostile text; whoever prints a sentence escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portroom.model.advice.wording import be, count, owner_words
from portroom.model.facts.answers import Finding, Key
from portroom.model.facts.sockets import Endpoint, Owner

Numbers = Mapping[str, "int | float | str"]

PAGES = "docs/findings"


def page(name: str) -> str:
    """
    Return the page of a finding.

    >>> page("tight_key")
    'docs/findings/tight_key.md'
    """
    return f"{PAGES}/{name}.md"


def found(
    severity: str,
    name: str,
    evidence: str,
    remedy: str,
    *,
    command: str = "",
    owners: Sequence[Owner] = (),
    numbers: Numbers,
) -> Finding:
    """Return a finding with its page."""
    return Finding(
        severity, name, evidence, remedy, dict(numbers), command, page(name), tuple(owners)
    )


def destination(key: Key) -> str:
    """Return the remote endpoint of a key, or what it is instead of one."""
    if key.remote_address is not None:
        return str(Endpoint(key.remote_address, key.remote_port or 0))
    operation = " bind to port 0" if key.operation == "bind0" else ""
    return f"{key.protocol.upper()}{operation} on {key.local_address}"


def key_numbers(key: Key) -> dict[str, int | float | str]:
    """Return the figures of a key."""
    return {
        "destination": destination(key),
        "eligible_ports": key.eligible_ports,
        "held_ports": key.held_ports,
        "free_ports": key.free_ports,
        "occupancy_ratio": key.occupancy_ratio,
    }


def program_words(owners: Sequence[Owner]) -> str:
    """
    Return the processes of one program.

    >>> web = Owner(7, 100, "web", 0, None, None)
    >>> program_words([web]), program_words([web, web])
    ('web (pid 7)', 'web (2 processes, pid 7 among them)')
    """
    if len(owners) == 1:
        return owner_words(owners[0])
    return f"{owners[0].command} ({len(owners)} processes, pid {owners[0].pid} among them)"


def are(number: int, noun: str) -> str:
    """
    Return a count with its verb.

    >>> are(1, "port"), are(2, "port")
    ('1 port is', '2 ports are')
    """
    return f"{count(number, noun)} {be(number)}"
