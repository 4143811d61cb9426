"""All findings: each fires on its scene with numbers, is quiet on its other, and knows what it needs."""

from __future__ import annotations

import re

import msgspec
import pytest

from portroom.model.advice.doctor import diagnose
from portroom.model.advice.findings.table import FINDINGS, PAGES
from portroom.model.facts.answers import SEVERITIES, RangeEnds
from portroom.model.facts.gaps import Gap
from portroom.model.facts.ports import PortRange
from portroom.model.facts.scene import ConntrackStats, NamespaceRange, Pulse, Scene
from portroom.model.facts.settings import DEFAULT_RANGE
from portroom.model.facts.snapshot import NetnsId, Owners
from portroom.model.facts.sockets import Kind, TcpState
from portroom.model.facts.surroundings import NodePorts, Surroundings
from portroom.model.facts.sysctl_files import SYSCTL_CONF
from tests.replay.recordings import KERNELS, recording
from tests.replay.snapshots import recorded_groups, snapshot
from tests.unit.made_boot import boot, program
from tests.unit.made_change import HOST, host
from tests.unit.made_groups import listener
from tests.unit.made_scenes import (
    NGINX,
    PERL,
    SHOP,
    SMALL,
    connected,
    held_by,
    pulse,
    scene,
    small,
    time_waits,
    translation,
    udp_peers,
    without_rows,
)

BOTH_PROGRAMS = msgspec.structs.replace(
    program("systemd"), installed={"systemd": (252,), "procps": (4, 0, 2)}
)


def full(owner=NGINX, **of) -> Scene:
    """Return a scene in which a program holds ninety of a hundred ports."""
    held = connected(40000, 90, kind=Kind.NO_PORT, **of)
    return scene(held_by(small(held), (held, owner)))


def owned(*tables) -> Scene:
    """Return a scene in which a program holds the sockets of tables."""
    return scene(held_by(small(*tables), *((of, PERL) for of in tables)))


def with_files(files, read=None, by=None) -> Scene:
    """Return the scene of a host with these files of sysctls."""
    return scene(msgspec.structs.replace(read or host(), boot=boot(files, by=by)))


def a_line(text: bytes, **numbers) -> Scene:
    """Return the scene of a host with one line in a file."""
    return with_files({b"/etc/sysctl.d/50-a.conf": text}, host(**numbers))


TW_REUSE_LINES = {b"/etc/sysctl.d/50-a.conf": b"net.ipv4.tcp_tw_reuse = 2\n"}
CLOSED = {"state": TcpState.CLOSE_WAIT, "kind": Kind.NO_PORT}

FIRING: dict[str, Scene] = {
    "tight_key": full(),
    "bind_first": owned(connected(40001, 10, step=2)),
    "time_wait_inflow": scene(small(time_waits(40000, 20, [2.0]), tcp_tw_reuse=0)),
    "listener_in_range": scene(small(listener(40080))),
    "node_ports_in_range": scene(
        around=Surroundings(node_ports=NodePorts(RangeEnds(40000, 40009), "kubelet (pid 9)"))
    ),
    "same_parity": scene(small(ephemeral=PortRange(15000, 64000))),
    "untuned_namespace": scene(
        ranges=(
            NamespaceRange(netns=HOST, range=PortRange(15000, 64001), reserved_ports=0),
            NamespaceRange(netns=SHOP, range=DEFAULT_RANGE, reserved_ports=0),
        )
    ),
    "drift": a_line(b"net.ipv4.tcp_tw_reuse = 1\n"),
    "boot_conflict": with_files(
        TW_REUSE_LINES | {SYSCTL_CONF: b"net.ipv4.tcp_tw_reuse = 1\n"}, by=BOTH_PROGRAMS
    ),
    "tw_reuse": scene(small(time_waits(40000, 70, [30.0]), tcp_tw_reuse=2)),
    "tw_buckets_low": scene(
        small(tcp_max_tw_buckets=5),
        before=pulse(time_wait_overflow=7),
        after=pulse(1.0, time_wait_overflow=9),
    ),
    "autobind_reuse": scene(small(ip_autobind_reuse=1)),
    "conntrack_near_full": scene(around=Surroundings(conntrack_used=99, conntrack_max=100)),
    "conntrack_insert_failed": scene(
        before=pulse(stats=ConntrackStats(insert_failed=3, dropped=3, early_dropped=0)),
        after=pulse(1.0, stats=ConntrackStats(insert_failed=5, dropped=5, early_dropped=0)),
    ),
    "snat_tight": scene(translations=(translation(95, PortRange(50000, 50099)),)),
    "udp_port_each": owned(*udp_peers(40000, 20)),
    "close_wait_pile": owned(connected(40000, 20, **CLOSED)),
    "known_software": full(),
    "myth_fin_timeout": scene(small(tcp_fin_timeout=15)),
    "myth_tw_recycle": a_line(b"net.ipv4.tcp_tw_recycle = 1\n"),
    "myth_tw_buckets": a_line(b"net.ipv4.tcp_max_tw_buckets = 5000\n", tcp_max_tw_buckets=5000),
    "myth_wide_range": scene(small(ephemeral=PortRange(1024, 65535))),
    "myth_count": scene(small(ephemeral=PortRange(32768, 61000))),
}
"""A scene for each finding."""


def names(found: Scene) -> list[str]:
    """Return the names of what is found in a scene."""
    return [one.name for one in diagnose(found).findings]


def test_every_finding_has_a_scene():
    """And no scene is of a finding that is gone."""
    assert list(FINDINGS) == list(FIRING)


@pytest.mark.parametrize("name", FINDINGS)
def test_it_fires_with_evidence_numbers_remedy_and_page(name):
    """Nothing is found without a number, and each number that is a count is said."""
    (one, *_) = FINDINGS[name].rule(FIRING[name])

    assert name == one.name
    assert one.severity in SEVERITIES
    assert one.numbers
    assert re.search(r"\d", one.evidence)
    assert one.evidence.endswith(".")
    assert one.remedy.endswith(".")
    assert f"docs/findings/{name}.md" == one.page == PAGES[name]
    assert name in names(FIRING[name])


@pytest.mark.parametrize("name", FINDINGS)
def test_a_quiet_host_has_none(name):
    """A new host with a few connections."""
    few = connected(40000, 4, step=2, kind=Kind.NO_PORT)
    quiet = scene(held_by(small(few), (few, NGINX)))

    assert [] == list(FINDINGS[name].rule(quiet))
    assert [] == list(FINDINGS[name].rule(scene(host())))


def test_a_quiet_host_is_checked_in_full():
    """Where all was read, nothing is left unchecked."""
    diagnosis = diagnose(scene())

    assert () == diagnosis.findings
    assert tuple(FINDINGS) == diagnosis.checked
    assert () == diagnosis.unchecked


@pytest.mark.parametrize("name", FINDINGS)
def test_nothing_is_found_where_nothing_was_read(name):
    """A Scene of a bare Snapshot: no rule fails, and none that looks is wrong."""
    read = small()
    bare = type(read)(read.host, read.boot_id, read.taken_at, read.netns)

    assert [] == list(FINDINGS[name].rule(Scene(read=bare)))
    assert name in diagnose(Scene(read=bare)).unchecked


def test_the_status_screen_checks_what_it_has_read():
    """Sockets, settings and the boot; not the surroundings and no second reading."""
    read = full().read
    diagnosis = diagnose(Scene(read=without_rows(read), keys=full().keys))

    assert {"tight_key", "bind_first", "drift", "known_software"} <= set(diagnosis.checked)
    assert {"node_ports_in_range", "conntrack_near_full", "tw_buckets_low", "snat_tight"} <= set(
        diagnosis.unchecked
    )


GAP = Gap("it", "could not be read (EPERM)")


@pytest.mark.parametrize(
    ("parts", "unchecked"),
    [
        ({"translations": GAP}, {"snat_tight"}),
        ({"ranges": GAP}, {"untuned_namespace"}),
        ({"before": GAP}, {"tw_buckets_low", "conntrack_insert_failed"}),
        (
            {"before": Pulse(at_s=0, counts=GAP, conntrack=None)},
            {"tw_buckets_low"},
        ),
        (
            {"around": Surroundings(gaps=(Gap("conntrack", "could not be read"),))},
            {"conntrack_near_full"},
        ),
        (
            {"around": Surroundings(gaps=(Gap("processes", "some are hidden"),))},
            {"node_ports_in_range"},
        ),
        ({"around": Surroundings(gaps=(Gap("selinux", "could not be read"),))}, set()),
    ],
)
def test_a_part_that_is_missing_is_told_by_the_rules_that_need_it(parts, unchecked):
    """And by no others."""
    assert unchecked == set(diagnose(scene(**parts)).unchecked)


def test_boot_files_are_not_missed_where_they_decide_nothing():
    """A container starts with the kernel's defaults, whatever was read."""
    read = msgspec.structs.replace(small(), boot=GAP)

    assert {"drift", "boot_conflict", "myth_tw_recycle", "myth_tw_buckets"} == set(
        diagnose(scene(read)).unchecked
    )
    assert () == diagnose(scene(msgspec.structs.replace(read, netns=SHOP))).unchecked


OTHERS = (
    NamespaceRange(netns=HOST, range=SMALL, reserved_ports=0),
    NamespaceRange(netns=NetnsId("pid:8 (sleep)", 5, 4026532002, "process", 8),
                   range=DEFAULT_RANGE, reserved_ports=0),
)  # fmt: skip
NOT_ENTERED = Gap("namespaces", "1 may not be entered", ("findings",))


@pytest.mark.parametrize(("ranges", "missed"), [(OTHERS, 0), (OTHERS[1:], 4), (GAP, 5)])
def test_where_the_host_is_known_no_other_namespace_is_it(ranges, missed):
    """A process that has unshared its network boots from no file; a user cannot tell whose it is."""
    read = msgspec.structs.replace(small(), boot=GAP, netns=OTHERS[1].netns)

    diagnosis = diagnose(scene(read, ranges=ranges))

    assert missed == len(diagnosis.unchecked)
    assert ("drift" in diagnosis.checked) == (not missed)


def test_what_is_found_is_told_though_some_owners_were_not_seen():
    """And the rules that need owners are not called complete, whatever they found."""
    read = FIRING["bind_first"].read
    unread = msgspec.structs.replace(read.owners, complete=False)

    diagnosis = diagnose(scene(msgspec.structs.replace(read, owners=unread)))

    assert ["bind_first"] == [one.name for one in diagnosis.findings]
    assert ("bind_first", "udp_port_each", "known_software") == diagnosis.unchecked


def test_nobody_is_given_the_sockets_of_those_who_were_not_seen():
    """Of 20 ports of a key 1 is PERL's, and the others somebody's who may not be looked at."""
    held = connected(40001, 20, step=2)
    read = without_rows(held_by(small(held), (held, PERL)))
    (of_key,) = read.owners.by_key
    of_key = msgspec.structs.replace(of_key, unknown_sockets=19)

    for complete in (True, False):
        owners = Owners(by_key=(of_key,), complete=complete)
        found = names(scene(msgspec.structs.replace(read, owners=owners)))

        assert complete == ("bind_first" in found)


@pytest.mark.parametrize(
    ("host_range", "where", "checked"),
    [
        (SMALL, HOST, False),
        # The host has the kernel's own range: no namespace is odd.
        (DEFAULT_RANGE, HOST, True),
        # What is asked about is this one, and it was entered.
        (SMALL, SHOP, True),
    ],
)
def test_namespaces_that_were_not_entered_matter_where_they_may_be_untuned(
    host_range, where, checked
):
    """On a tuned host that looks at all of them."""
    ranges = (NamespaceRange(netns=HOST, range=host_range, reserved_ports=0),)
    read = msgspec.structs.replace(small(), netns=where, gaps=(NOT_ENTERED,))

    diagnosis = diagnose(scene(read, ranges=ranges))

    assert checked == ("untuned_namespace" in diagnosis.checked)


def test_the_gravest_comes_first():
    """Critical, warning, info; then the order of the table."""
    held = connected(40000, 96, kind=Kind.NO_PORT)
    read = held_by(
        small(held, listener(40098), ip_autobind_reuse=1, tcp_fin_timeout=15), (held, NGINX)
    )
    found = [(one.severity, one.name) for one in diagnose(scene(read)).findings]

    assert [
        ("critical", "tight_key"),
        ("warning", "listener_in_range"),
        ("warning", "autobind_reuse"),
        ("info", "known_software"),
        ("info", "myth_fin_timeout"),
    ] == found


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_recorded_snapshot_has_its_listener_and_no_more(kernel):
    """
    What six kernels answered of one population: a listener inside the range, nothing else.

    It called listen() without bind(), and each kernel chose an odd port for it.
    """
    told = recording(kernel)
    made = (
        one["local"]["port"]
        for one in told.json("manifest.json")["sockets"]
        if one["state"] == "LISTEN"
    )
    (inside,) = {port for port in made if port in told.settings.ephemeral}
    (found,) = diagnose(scene(snapshot(told, recorded_groups(told)))).findings

    assert ("info", "listener_in_range") == (found.severity, found.name)
    assert str(inside) == found.numbers["list"]
    assert inside % 2 == 1
