"""A change is refused that the kernel would refuse, or that leaves too few ports."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.facts.change import FORCE, PERSIST, PERSIST_ONLY, REFUSAL, WARNING
from portroom.model.facts.ports import PortRange
from portroom.model.facts.snapshot import NetnsId
from tests.unit.made_change import codes, host, planned

DELAY = "net.ipv4.tcp_tw_reuse_delay"


def refusal(plan):
    """Return the only refusal of a plan."""
    (one,) = plan.refusals
    return one


def test_a_setting_that_the_kernel_does_not_have_is_refused():
    """The sysctl is named; nothing is written for it, and no option helps."""
    plan = planned("tw_reuse_delay=5", host(without=(DELAY,)), force=True)

    assert "not_supported" == refusal(plan).code
    assert f"{DELAY} does not exist here: this kernel does not have it." == refusal(plan).sentence
    assert ((), ()) == (plan.changes, plan.steps)


@pytest.mark.parametrize(
    ("words", "by", "remedy"),
    [
        (
            "range=80-64001",
            "ip_unprivileged_port_start",
            "Set both: range=80-64001 ip_unprivileged_port_start=80.",
        ),
        (
            "unprivileged_port_start=40000",
            "range",
            "Set both: range=40000-60999 ip_unprivileged_port_start=40000.",
        ),
        ("unprivileged_port_start=61000", "range", ""),
    ],
)
def test_what_another_setting_blocks_names_it_and_the_way_out(words, by, remedy):
    """Range and first unprivileged port block each other; both together are proposed."""
    one = refusal(planned(words, host()))

    assert "blocked" == one.code
    assert f"{by} is in the way" in one.sentence
    assert remedy == one.remedy
    assert () == one.lifted_by


@pytest.mark.parametrize(
    "words",
    [
        "range=80-64001 unprivileged_port_start=80",
        "unprivileged_port_start=40000 range=40000-60999",
    ],
)
def test_both_together_are_not_blocked(words):
    """Whichever is named first, the way out is one."""
    assert [] == codes(planned(words, host()), REFUSAL)


@pytest.mark.parametrize(
    "words", ["range=40000-41022", "range=15000-15000", "reserved=32768-60000"]
)
def test_fewer_than_1024_ports_are_refused_unless_forced(words):
    """A tiny range, or a list that leaves little, is most often a slip."""
    one = refusal(planned(words, host()))

    assert ("few_ports", (FORCE,)) == (one.code, one.lifted_by)
    assert [] == codes(planned(words, host(), force=True), REFUSAL)
    assert "few_ports" in codes(planned(words, host(), force=True), WARNING)


def test_1024_ports_are_enough():
    """The limit itself passes."""
    assert [] == codes(planned("range=40000-41023", host()), REFUSAL)


@pytest.mark.parametrize(
    "words", ["reserved=0-65535", "reserved=1-65535", "range=40000-40001 reserved=40000-40001"]
)
def test_no_port_at_all_is_refused_unless_forced(words):
    """A list that leaves none is worse than a tiny range, and is said apart."""
    assert ["no_ports"] == codes(planned(words, host()), REFUSAL)
    assert [] == codes(planned(words, host(), force=True), REFUSAL)


def test_another_setting_of_a_tiny_namespace_may_change():
    """Few ports are no reason where the change does not touch them."""
    tiny = host(ephemeral=PortRange(40000, 40009))

    assert [] == codes(planned("tw_reuse=1", tiny), REFUSAL)
    assert [] == codes(planned("reserved+=9", tiny), REFUSAL)


@pytest.mark.parametrize("where", [PERSIST, PERSIST_ONLY])
def test_a_file_for_a_namespace_that_files_do_not_reach_is_refused(where):
    """What a boot writes never gets to a namespace of its own."""
    read = host(netns=NetnsId("shop", 4711, 4026531999, "named"))
    one = refusal(planned("range=15000-64001", read, where=where))

    assert "files_do_not_reach" == one.code
    assert "the boot files of the host do not reach this namespace" in one.sentence
    assert [] == codes(planned("range=15000-64001", read), REFUSAL)


def test_a_file_of_the_host_is_not_refused():
    """The namespace in which the system boots is the one that files reach."""
    read = msgspec.structs.replace(host())

    assert [] == codes(planned("range=15000-64001", read, where=PERSIST), REFUSAL)
