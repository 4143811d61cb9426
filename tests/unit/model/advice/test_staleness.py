"""A plan that does not fit any more says what differs: from what, to what."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.staleness import staleness
from portroom.model.facts.change import (
    PERSIST,
    PERSIST_ONLY,
    ChangePlan,
    FileContent,
    FileStep,
    Persistence,
)
from portroom.model.facts.ports import PortRange
from tests.unit.made_change import host, planned
from tests.unit.made_groups import listener

PATH, LATER = "/etc/sysctl.d/90-portroom.conf", "/etc/sysctl.d/99-portroom.conf"
WORDS = "range=15000-64001"
RANGE_KEY = "net.ipv4.ip_local_port_range"


def kept(
    before: FileContent | None, after: bytes | None = b"new", path: str = PATH, **values: str
) -> ChangePlan:
    """Return the plan of a change that is kept in a file."""
    plan = planned(WORDS, host(), where=PERSIST)
    step = FileStep(path, before, None if after is None else FileContent(after))
    said = values or {RANGE_KEY: "15000 64001"}
    return msgspec.structs.replace(
        plan, steps=(*plan.steps, step), persistence=Persistence(path, "systemd", values=said)
    )


def test_a_plan_made_again_is_not_stale():
    """Nor is one whose file differs by the date of its comment only."""
    assert () == staleness(planned(WORDS, host()), planned(WORDS, host()))
    assert () == staleness(kept(None, b"# at noon"), kept(None, b"# at one"))


def test_a_connection_more_makes_no_plan_stale():
    """What explains a difference is none by itself."""
    now = planned(WORDS, host(listener(20000)), force=True)

    assert () == staleness(planned(WORDS, host(), force=True), now)


@pytest.mark.parametrize(
    ("words", "then", "read", "told"),
    [
        (
            WORDS,
            host(),
            host(ephemeral=PortRange(20000, 60999)),
            "range is 20000-60999, and was 32768-60999",
        ),
        ("tw_reuse=1", host(), host(tcp_tw_reuse=0), "tcp_tw_reuse is 0, and was 2"),
        (
            "tw_reuse=1",
            host(),
            host(tcp_tw_reuse=1),
            "tcp_tw_reuse is 1 already, and was 2",
        ),
        (
            "tw_reuse=1",
            host(tcp_tw_reuse=1),
            host(),
            "tcp_tw_reuse is 2, and was 1",
        ),
        ("reserved=80", host(), host(reserved="90"), "reserved is 90, and was none"),
    ],
)
def test_a_value_that_changed_is_told(words, then, read, told):
    """As it is typed: what there is, and what there was."""
    assert (told,) == staleness(planned(words, then), planned(words, read))


def test_a_list_to_which_ports_are_added_is_told_twice():
    """It is another one, and would become another one."""
    words = "reserved+=8080"
    told = staleness(planned(words, host()), planned(words, host(reserved="90")))

    assert told == ("reserved is 90, and was none", "reserved would become 90,8080, and not 8080")


def test_what_listens_now_is_told():
    """With --reserve it changes the list, and it is named as the cause."""
    then, now = (planned(WORDS, read, reserve=True) for read in (host(), host(listener(25672))))

    assert staleness(then, now) == (
        "reserved would change from none to 25672, and did not have to",
        "newly inside the range: tcp 25672 (listener, 0.0.0.0:25672)",
    )
    assert staleness(now, then) == (
        "reserved would not change, and would have, from none to 25672",
        "not newly inside the range any more: tcp 25672 (listener, 0.0.0.0:25672)",
    )


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, FileContent(b"a"), f"{PATH} exists, and did not"),
        (FileContent(b"a"), None, f"{PATH} is gone"),
        (
            FileContent(b"a"),
            FileContent(b"a", 0o600),
            f"the mode of {PATH} is 0600, and was 0644",
        ),
        (
            FileContent(b"a\nb\n"),
            FileContent(b"a\n\xffc\n"),
            f"line 2 of {PATH} is '\\\\xffc', and was 'b'",
        ),
        (
            FileContent(b"a\n"),
            FileContent(b"a\nb\n"),
            f"line 2 of {PATH} is 'b', and was missing",
        ),
    ],
)
def test_a_file_that_changed_is_told(before, now, told):
    """By its first line that differs."""
    assert (told,) == staleness(kept(before), kept(now))


def test_another_file_is_told():
    """Where something else is read at boot, a file of another name would decide."""
    (told,) = staleness(kept(None), kept(None, path=LATER))

    assert told == (f"by what the boot reads now, {LATER} would be written, and not {PATH}")


def test_what_a_file_would_say_counts_though_nothing_is_written_to_the_kernel():
    """A list is added to what is reserved now."""
    plans = [
        msgspec.structs.replace(
            kept(None, **{RANGE_KEY: text}),
            request=planned(WORDS, host(), where=PERSIST_ONLY).request,
        )
        for text in ("1 2", "1 3")
    ]

    assert (f"the file would say {RANGE_KEY} = 1 3, and not 1 2",) == staleness(*plans)
