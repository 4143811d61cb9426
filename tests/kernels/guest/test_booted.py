"""
A booted kernel: what became of sysctls on its command line, and of settings only some have.

The command line is that of ``tests.kernels``: twice the same sysctl, refused and odd
values, quotes around a value and around a word, and sysctls that not every kernel has.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from portroom.kernel.boot import read_boot, read_held
from portroom.model.facts.settings import KEYS, SETTINGS, Scope
from portroom.model.laws.acceptance import KNOWN, RANGE_KEY
from portroom.model.laws.next_boot import next_boot
from portroom.model.laws.outcomes import APPLIED, OVERRIDDEN, REFUSED, UNCHECKED
from tests.e2e.faults import ask
from tests.kernel.harness import in_namespace, read_setting, write_settings
from tests.kernel.needs import lacking
from tests.kernel.predict import outcomes, surprises, try_bind0, try_connect
from tests.kernel.sockets import listener, reset

BELOW_IPV4 = "net.ipv4."
STEP_WIDTH = "net.ipv4.ip_local_port_step_width"
REUSE_DELAY = "net.ipv4.tcp_tw_reuse_delay"
CONNTRACK = "net.netfilter.nf_conntrack_max"
ONLY_SOME_KERNELS = {STEP_WIDTH: "4", REUSE_DELAY: "2000"}
"""Sysctls of the command line that are newer than 5.10, and what it gives them."""

COMPLAINT = re.compile(r"Failed to set sysctl parameter '([^=]+)=(.*)':", re.MULTILINE)

step_width = lacking(STEP_WIDTH, missing=read_setting("ip_local_port_step_width") is None)
held = read_held(KEYS)


def law():
    """Return what the law of the next boot says of this command line."""
    return next_boot(read_boot(), set(held)).course


def refused_by_law():
    """Return the words that the law says are refused, as key and value, in no order."""
    return sorted(
        (key, one.value.decode())
        for key, holding in law().holdings.items()
        for one in holding.proposals
        if one.fate.outcome == REFUSED
    )


def test_each_sysctl_holds_what_the_law_says():
    """What the law gives each sysctl is what the kernel holds, where the machine does not decide."""
    state = {key: text for key, text in law().state.items() if key in held}
    known = {key for key in state if KNOWN[key].default is not None or state[key]}

    expected = {key: state[key] for key in known}
    assert expected == {key: held[key] for key in known}


def test_the_kernel_complains_of_what_the_law_refuses():
    """Each word that the law refuses is one that the kernel says it could not set, and no other."""
    log = subprocess.run(["dmesg"], stdout=subprocess.PIPE, check=True, text=True).stdout
    complaints = [(name.replace("/", "."), value) for name, value in COMPLAINT.findall(log)]
    told = sorted(one for one in complaints if one[0] in KEYS and one[0] != CONNTRACK)

    assert len(told) >= len(complaints) - 2
    assert refused_by_law() == told


def test_the_last_value_that_is_none_refused_holds():
    """Of three ranges the first is replaced by the second, and the third is refused."""
    found = law().holdings[RANGE_KEY]

    assert "20000 60999" == held[RANGE_KEY] == found.value
    assert [OVERRIDDEN, APPLIED, REFUSED] == [one.fate.outcome for one in found.proposals]


def test_what_stands_behind_two_dashes_is_not_for_the_kernel():
    """A sysctl without a value does nothing, and one behind ``--`` goes to the first process."""
    words = Path("/proc/1/cmdline").read_text().split("\0")

    assert "sysctl.net.ipv4.tcp_tw_reuse=0" in words
    assert "2" == held["net.ipv4.tcp_tw_reuse"]
    assert () == law().holdings["net.ipv4.tcp_tw_reuse"].proposals


def test_a_sysctl_of_a_module_is_in_doubt():
    """The kernel writes before its module is loaded: the value is not taken, and not promised."""
    found = law().holdings[CONNTRACK]

    assert CONNTRACK in held
    assert "12345" != held[CONNTRACK]
    assert [UNCHECKED] == [one.fate.outcome for one in found.proposals]
    assert found.value is None
    assert "only if its module is built into the kernel" in found.doubt


def test_boot_names_the_command_line():
    """``portroom boot`` tells the value, and that /proc/cmdline decides it."""
    ended = ask("boot", "--key", "range", "--program", "systemd", "-o", "json")

    assert 0 == ended.status
    assert "20000 60999" == ended.json["value"] == ended.json["current"]
    assert "/proc/cmdline" == ended.json["winner"]["file"]


@pytest.mark.parametrize("key", ONLY_SOME_KERNELS)
def test_settings_tells_of_one_that_not_every_kernel_has(key):
    """Where it is there it holds what the command line gives; where it is not, that is said."""
    name = key.removeprefix(BELOW_IPV4)
    ended = ask("settings", name, "-o", "json")
    (row,) = ended.json["settings"]
    gaps = [gap["affects"] for gap in ended.json["gaps"]]

    assert 0 == ended.status
    if key in held:
        assert ONLY_SOME_KERNELS[key] == str(row["current"]) == held[key]
    else:
        assert row["current"] is None
        assert any(f"{name}.current" in affects for affects in gaps)


def test_a_new_namespace_has_the_defaults_of_the_kernel():
    """Nothing that the command line sets is passed on to a new namespace."""
    own = [row.key for row in SETTINGS if row.scope is Scope.NAMESPACE and row.key in held]
    default = {key: KNOWN[key].default for key in own if KNOWN[key].default is not None}
    new = in_namespace(read_held, own)

    assert default == {key: new[key] for key in default}
    assert default != {key: held[key] for key in default}


def fill(ports, width):
    """Fill a range by connect() and by bind() with a step width; return both trials."""
    write_settings(
        ip_local_port_range=f"40000 {40000 + ports - 1}",
        ip_local_reserved_ports="40010-40013",
        ip_local_port_step_width=width,
    )
    listener("127.0.0.1", 9000)
    connects = try_connect(("127.0.0.1", 9000))
    reset(connects.real.sockets)
    return connects, try_bind0("127.0.0.2")


@step_width
@pytest.mark.parametrize("width", [1, 3, 10, 1000])
def test_a_step_width_changes_the_order_alone(width):
    """The same ports are found as without, connect() takes even ones first and bind() odd ones."""
    plain, stepped = in_namespace(fill, 40, 0), in_namespace(fill, 40, width)

    assert [] == surprises((*plain, *stepped))
    assert outcomes(plain) == outcomes(stepped)
    for one, other in zip(plain, stepped, strict=True):
        assert sorted(one.real.ports) == sorted(other.real.ports)
        assert [port % 2 for port in one.real.ports] == [port % 2 for port in other.real.ports]


@step_width
@pytest.mark.parametrize("width", [1, 3, 10, 1000])
def test_of_an_odd_range_a_port_may_be_lost_with_a_step_width_as_without(width):
    """How many are found is within what is predicted, which does not know the width."""
    trials = in_namespace(fill, 41, width)

    assert [] == surprises(trials)
