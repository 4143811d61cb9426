"""Findings and explanations made by hand, as the rendering tests need them."""

from portroom.model.facts.answers import Finding, Findings
from portroom.model.facts.explanation import Cause, Explanation
from tests.unit.render import examples

FULL = Finding(
    severity="critical",
    name="tight_key",
    evidence="28,190 of 28,232 ports (99 %) towards 10.0.0.9:443 are held, most by nginx.",
    remedy="Keep connections open, or give the destination a second address.",
    numbers={"held_ports": 28_190, "eligible_ports": 28_232, "occupancy_ratio": 0.9985},
    command="portroom explain EADDRNOTAVAIL --remote 10.0.0.9:443",
    page="docs/findings/tight_key.md",
    owners=(examples.owner(sockets=8_000),),
)
LISTENER = Finding(
    severity="warning",
    name="listener_in_range",
    evidence="2 listeners are inside the range and not reserved: tcp 40003, 40004.",
    remedy="Reserve their ports.",
    command="portroom set reserved+=40003,40004",
    page="docs/findings/listener_in_range.md",
)
PARITY = Finding(
    severity="info",
    name="same_parity",
    evidence="The range 32768-61000 begins and ends with an even port.",
    remedy="",
)
CHECKED = ("tight_key", "listener_in_range", "same_parity", "drift")
UNCHECKED = ("conntrack_near_full", "snat_tight")


def findings(found=(FULL, LISTENER, PARITY), *, unchecked=UNCHECKED, gaps=(), where=examples.HOST):
    """Return what doctor found."""
    return Findings(
        host="web1",
        taken_at=examples.AT,
        netns=where,
        gaps=tuple(gaps),
        findings=tuple(found),
        checked=CHECKED,
        unchecked=tuple(unchecked),
    )


def cause(name, verdict, sentence, **others):
    """Return one cause of EADDRNOTAVAIL."""
    return Cause(
        name=name,
        verdict=verdict,
        errors=("EADDRNOTAVAIL",),
        sentence=sentence,
        page=f"docs/causes/{name}.md",
        **others,
    )


KEY_FULL = cause(
    "key_full",
    "found",
    "All 28,232 eligible ports of 10.0.0.1 towards 10.0.0.20:5432 are held: 21,517 by TIME_WAIT.",
    numbers={"held_ports": 28_232},
    remedy="Let the program keep its connections, or give it a second local address.",
    command="portroom sessions --remote 10.0.0.20:5432 --summary",
)
NARROWED = cause(
    "narrowed_range",
    "possible",
    "gunicorn (pid 26) may have IP_LOCAL_PORT_RANGE set.",
    remedy="Look at its options.",
    command="portroom explain EADDRNOTAVAIL --pid 26",
)
NOT_SEEN = cause(
    "other_namespace",
    "unknown",
    "Other namespaces could not be entered: that needs CAP_SYS_ADMIN.",
    command="sudo portroom explain EADDRNOTAVAIL --remote 10.0.0.20:5432",
)
RULED_OUT = (
    cause("tuple_clash", "ruled_out", "No local port was named."),
    cause("no_source_address", "ruled_out", "10.0.0.20 is reached from 10.0.0.1."),
)
FULL_KEY = examples.key("10.0.0.20", 5432, held=examples.ELIGIBLE)


def explanation(
    causes=(KEY_FULL, NARROWED, NOT_SEEN, *RULED_OUT), *, keys=(FULL_KEY,), gaps=(), **others
):
    """Return why connects to 10.0.0.20:5432 fail."""
    asked = {
        "error": "EADDRNOTAVAIL",
        "errno": 99,
        "protocol": "tcp",
        "remote_address": "10.0.0.20",
        "remote_port": 5432,
        "local_address": None,
        "local_port": None,
        "process": None,
    }
    return Explanation(
        host="web1",
        taken_at=examples.AT,
        netns=examples.HOST,
        gaps=tuple(gaps),
        **(asked | others),
        found=tuple(one.name for one in causes if one.verdict == "found"),
        causes=tuple(causes),
        keys=tuple(keys),
    )
