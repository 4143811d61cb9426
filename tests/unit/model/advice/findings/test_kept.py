"""What was set here and not there, now and not at the next boot."""

from __future__ import annotations

import msgspec
import pytest

from portroom.model.advice.findings.kept import (
    autobind_reuse,
    boot_conflict,
    drift,
    untuned_namespace,
)
from portroom.model.facts.boot import BootProgram
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import NamespaceRange
from portroom.model.facts.settings import DEFAULT_RANGE
from portroom.model.facts.sysctl_files import SYSCTL_CONF
from tests.unit.made_boot import boot, program
from tests.unit.made_change import HOST, host
from tests.unit.made_scenes import POD, SHOP, scene

TUNED = PortRange(15000, 64001)


def ranges(*others, own=TUNED):
    """Return the ranges of the host and of some namespaces."""
    return (
        NamespaceRange(netns=HOST, range=own, reserved_ports=0),
        *(NamespaceRange(netns=netns, range=of, reserved_ports=0) for netns, of in others),
    )


def test_namespaces_that_were_forgotten_are_counted_and_named():
    """The host is tuned, these two are not."""
    found = ranges((SHOP, DEFAULT_RANGE), (POD, DEFAULT_RANGE))
    (one,) = untuned_namespace(scene(host(ephemeral=TUNED), ranges=found))

    assert "15000-64001 (49,002 ports)" in one.evidence
    assert "2 network namespaces have the kernel's default 32768-60999 (28,232 ports): " in (
        one.evidence
    )
    assert "shop, net:[4026532001]" in one.evidence
    assert "portroom set range=15000-64001 --reserve --netns shop" == one.command


@pytest.mark.parametrize(
    "found",
    [
        ranges((SHOP, TUNED)),
        ranges((SHOP, PortRange(20000, 30001))),
        ranges((SHOP, DEFAULT_RANGE), own=DEFAULT_RANGE),
        ranges(),
        (),
        ranges((SHOP, DEFAULT_RANGE))[1:],
    ],
)
def test_nothing_was_forgotten(found):
    """Tuned too, tuned otherwise, nobody tuned, nobody there, or no host to compare with."""
    assert [] == list(untuned_namespace(scene(host(ephemeral=TUNED), ranges=found)))


def test_a_namespace_hears_of_itself_alone():
    """The others are told where they are looked at."""
    found = ranges((SHOP, DEFAULT_RANGE), (POD, DEFAULT_RANGE))
    (one,) = untuned_namespace(scene(host(netns=SHOP), ranges=found))

    assert 1 == one.numbers["namespaces"]
    assert [] == list(untuned_namespace(scene(host(netns=HOST), ranges=ranges())))


# The next boot.


def at_boot(text: bytes, *, by: BootProgram | None = None, **numbers: int):
    """Return the scene of a host whose sysctl.d has one file."""
    found = boot({b"/etc/sysctl.d/50-ports.conf": text}, by=by)
    return scene(msgspec.structs.replace(host(**numbers), boot=found))


def test_drift_names_both_values_the_line_and_the_command():
    """Now 2, and 1 after the next boot."""
    (one,) = drift(at_boot(b"net.ipv4.tcp_tw_reuse = 1\n"))

    assert "tcp_tw_reuse is 2 now, and the next boot gives 1" in one.evidence
    assert "(/etc/sysctl.d/50-ports.conf:1)" in one.evidence
    assert "portroom set tcp_tw_reuse=2 --persist-only" == one.command
    assert "warning" == one.severity


def test_drift_from_the_kernels_default_says_so():
    """No line sets it."""
    (one,) = drift(at_boot(b"", tcp_tw_reuse=1))

    assert "the kernel's default: no line sets it" in one.evidence


def test_drift_of_what_portroom_does_not_set_has_no_command():
    """The line is to be changed by hand."""
    (one,) = drift(at_boot(b"net.ipv4.tcp_fin_timeout = 30\n"))

    assert "" == one.command
    assert "net.ipv4.tcp_fin_timeout" in one.remedy


def test_no_drift():
    """The line says what is; and in a namespace no file decides."""
    assert [] == list(drift(at_boot(b"net.ipv4.tcp_tw_reuse = 2\n")))
    there = at_boot(b"net.ipv4.tcp_tw_reuse = 1\n").read

    assert [] == list(drift(scene(msgspec.structs.replace(there, netns=SHOP))))


BOTH = msgspec.structs.replace(
    program("systemd"), installed={"systemd": (252,), "procps": (4, 0, 2)}
)
"""Where both are installed, whoever runs last decides."""


def test_a_conflict_tells_what_each_program_gives():
    """procps reads /etc/sysctl.conf last, systemd does not read it."""
    files = {
        b"/etc/sysctl.d/50-ports.conf": b"net.ipv4.tcp_tw_reuse = 2\n",
        SYSCTL_CONF: b"net.ipv4.tcp_tw_reuse = 1\n",
    }
    (one,) = boot_conflict(scene(msgspec.structs.replace(host(), boot=boot(files, by=BOTH))))

    assert "systemd gives 2" in one.evidence
    assert "procps gives 1" in one.evidence
    assert "portroom boot --key tcp_tw_reuse" == one.command


def test_no_conflict():
    """Both give the same, or one alone is there."""
    same = {SYSCTL_CONF: b"net.ipv4.tcp_tw_reuse = 2\n"}

    assert [] == list(
        boot_conflict(scene(msgspec.structs.replace(host(), boot=boot(same, by=BOTH))))
    )
    assert [] == list(boot_conflict(at_boot(b"net.ipv4.tcp_tw_reuse = 1\n")))


def test_autobind_reuse():
    """On is told, off is not."""
    (one,) = autobind_reuse(scene(host(ip_autobind_reuse=1)))

    assert "ip_autobind_reuse is 1: once all 28,232 ports are taken" in one.evidence
    assert "portroom set ip_autobind_reuse=0" == one.command
    assert [] == list(autobind_reuse(scene(host(ip_autobind_reuse=0))))
    assert [] == list(autobind_reuse(scene(host(without=("net.ipv4.ip_autobind_reuse",)))))
