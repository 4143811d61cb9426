"""What is written to a sysctl is read back right, and the table tells the truth."""

import os
from pathlib import Path

import pytest

from portroom.api.settings import settings
from portroom.api.source import Live
from portroom.kernel.namespaces import find, inside
from portroom.kernel.settings import read_settings
from portroom.kernel.sysctl import sysctl_path
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import RANGE_KEY, SETTINGS, Scope, ValueType
from tests.kernel.harness import Neighbour
from tests.kernel.sockets import attempt

RESERVED_KEY = "net.ipv4.ip_local_reserved_ports"

NUMBERS = [row for row in SETTINGS if row.scope is Scope.NAMESPACE and row.type is ValueType.NUMBER]


def write_whole(path, text):
    """
    Write *text* as a long list must be: one write(2) takes less than a page.
    """
    handle = os.open(path, os.O_WRONLY)
    try:
        left = text.encode()
        while left:
            left = left[os.write(handle, left) :]
    finally:
        os.close(handle)


def write_and_read(key, text):
    """Write a sysctl, by as many writes as it takes, and return what is read."""
    write_whole(sysctl_path(key), text)
    return read_settings().values[key]


def test_each_setting_is_read_or_said_to_be_absent(netns):
    """
    A kernel without tcp_tw_reuse_delay or ip_local_port_step_width is told so in words.
    """
    answer = netns(lambda: settings(Live()))
    told = {one.name: one.current is not None for one in answer.settings}
    absent = {gap.source: gap for gap in answer.gaps}

    for row in (row for row in SETTINGS if row.scope is Scope.NAMESPACE):
        there = Path(sysctl_path(row.key)).exists()

        assert there == told[row.name] == (row.key not in absent), row.key
        if not there:
            gap = absent[row.key]
            assert (row.absent, (f"{row.name}.current",)) == (gap.reason, gap.affects)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("40000 40009", PortRange(40000, 40009)),
        ("20000 30000", PortRange(20000, 30000)),
        ("5000 5000", PortRange(5000, 5000)),
        ("1024 65535", PortRange(1024, 65535)),
        ("15000", PortRange(15000, 60999)),
        ("40000 50000 60000", PortRange(40000, 50000)),
        (" 40000\t\n 40009 ", PortRange(40000, 40009)),
        ("0x8000 0xffff", PortRange(32768, 65535)),
        ("040000 050000", PortRange(16384, 20480)),
    ],
)
def test_a_range_is_read_as_the_kernel_took_it(netns, text, expected):
    """
    One number sets the first port, a third is ignored, hex and octal are taken.
    """
    assert expected == netns(write_and_read, RANGE_KEY, text)


@pytest.mark.parametrize(
    "text",
    [
        "30000 20000",
        "0 100",
        "-1 5",
        "1024 65536",
        "1023 65535",
        "abc",
        "40000-50000",
        "\n",
    ],
)
def test_a_refused_range_leaves_the_one_before(netns, text):
    """
    What the kernel refuses with EINVAL changes nothing.
    """

    def job():
        path = sysctl_path(RANGE_KEY)
        return attempt(lambda: write_whole(path, text)), read_settings().ephemeral

    assert ("EINVAL", PortRange(32768, 60999)) == netns(job)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2-4,10-10", "1-4,10"),
        ("8080,9000-9100,9050-9200", "8080,9000-9200"),
        ("0-65535", "0-65535"),
        ("0x10", "16"),
        ("\n", ""),
    ],
)
def test_a_reserved_list_is_read_in_its_canonical_form(netns, text, expected):
    """
    Runs that touch or overlap are one, and so in what is read.
    """
    read = netns(write_and_read, RESERVED_KEY, text)

    assert PortSet.parse(expected) == read
    assert expected == str(read)


@pytest.mark.parametrize("ports", [range(1, 10_001, 2), range(1, 65536, 2)])
def test_a_long_reserved_list_is_read_whole(netns, ports):
    """
    5,000 lone ports are 25 KB and 32,768 are 193 KB: none is lost.
    """
    text = ",".join(map(str, ports))
    read = netns(write_and_read, RESERVED_KEY, text)

    assert list(ports) == list(read)


def test_a_new_namespace_has_the_defaults_of_the_table(netns):
    """
    Each default that does not depend on the machine is what the kernel gives.
    """
    found = netns(read_settings).values
    expected = {
        row.key: row.default
        for row in SETTINGS
        if row.scope is Scope.NAMESPACE and row.default is not None and row.key in found
    }

    assert expected == {key: found[key] for key in expected}


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row.name)
def test_bounds_are_those_of_the_kernel(netns, row):
    """
    The lowest and highest value are taken and read back; the next ones are refused.

    A setting that this kernel does not have is not among those read.
    """

    def job():
        path = sysctl_path(row.key)
        if not Path(path).exists():
            return [], [key for key in read_settings().values if key == row.key]
        # The range may not begin below the first unprivileged port.
        write_whole(sysctl_path(RANGE_KEY), "65535 65535")
        limits = [value for value in (row.lowest, row.highest) if value is not None]
        taken = [write_and_read(row.key, str(value)) for value in limits]
        return limits, taken

    limits, taken = netns(job)

    assert limits == taken


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row.name)
def test_beyond_the_bounds_the_kernel_refuses(netns, row):
    """
    One below the lowest and one above the highest value give EINVAL.
    """

    def job():
        path = sysctl_path(row.key)
        write_whole(sysctl_path(RANGE_KEY), "65535 65535")
        beyond = [] if row.lowest is None else [row.lowest - 1]
        beyond += [] if row.highest is None else [row.highest + 1]
        return {attempt(lambda text=str(value): write_whole(path, text)) for value in beyond}

    outcomes = netns(job)

    # ENOENT: this kernel does not have the setting.
    assert outcomes in (set(), {"EINVAL"}, {"ENOENT"})


def test_settings_are_those_of_the_namespace_entered(netns):
    """
    A thread inside another namespace reads that one's range, the caller its own.
    """

    def job():
        neighbour = Neighbour()
        with neighbour.inside():
            write_whole(sysctl_path(RANGE_KEY), "40000 40009")
        there = find(f"/proc/{os.getpid()}/fd/{neighbour._away}")
        return inside(there, read_settings).ephemeral, read_settings().ephemeral

    assert (PortRange(40000, 40009), PortRange(32768, 60999)) == netns(job)
