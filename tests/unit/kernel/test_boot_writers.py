"""What else sets a sysctl is told by kind, place, value and time."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.kernel.boot_writers import (
    KNOWN,
    parse_sysctl_words,
    read_boot_writers,
    split_words,
)
from portroom.model.facts.settings import SETTINGS
from tests.unit.kernel.trees import Link, make_tree

RANGE = "net.ipv4.ip_local_port_range"
CONNTRACK = "net.netfilter.nf_conntrack_max"


def of_host(tmp_path, proc, *keys):
    """
    Return what sets the keys on this host, as *proc* shows it, its own files left out.
    """
    found = read_boot_writers(keys or [RANGE], "/", make_tree(tmp_path, proc))
    return [writer for writer in found.writers if writer.kind in {"kernel_command_line", "process"}]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("quiet splash", []),
        ("sysctl.net.ipv4.ip_local_port_range=1", [("net/ipv4/ip_local_port_range", "1")]),
        ("sysctl/net/ipv4/ip_local_port_range=1", [("net/ipv4/ip_local_port_range", "1")]),
        ("sysctl.net/ipv4.tcp_tw_reuse=1", [("net/ipv4/tcp_tw_reuse", "1")]),
        ("sysctl.net/ipv4/conf/eth0.1/mtu=1", [("net/ipv4/conf/eth0/1/mtu", "1")]),
        ('sysctl.a="1 2"', [("a", "1 2")]),
        ('"sysctl.a=1 2" b', [("a", "1 2")]),
        ('"sysctl.a="1""', [("a", '1"')]),
        ('sysctl.a="1"2', [("a", '1"2')]),
        ("sysctl.a=1=2", [("a", "1=2")]),
        ("sysctl.a=1 sysctl.a=2", [("a", "1"), ("a", "2")]),
        ("sysctl.a sysctl.b= sysctlc=1 xsysctl.d=1", []),
        ("sysctl.a=1 -- sysctl.b=2", [("a", "1")]),
        ('sysctl.a="1 2', [("a", "1 2")]),
        ("", []),
    ],
)
def test_words_of_the_kernel_command_line(line, words):
    """
    Both separators, every dot a slash, quotes around value or word, the last word of several.
    """
    assert words == list(parse_sysctl_words(line))


@given(st.text(alphabet='ab=". \t-', max_size=40))
def test_any_line_is_words_without_blanks_at_their_ends(line):
    """
    Whatever stands there, splitting ends, and only quotes keep blanks.
    """
    words = list(split_words(line))

    assert '"' in line or [] == [word for word in words if word.split() != [word]]


def test_the_kernel_command_line_is_told_with_its_time(tmp_path):
    """
    The boot program comes later and replaces what the kernel command line sets.
    """
    proc = {"/cmdline": f'quiet sysctl.{RANGE}="15000 65000" --\n'}

    (writer,) = of_host(tmp_path, proc)

    assert ("kernel_command_line", RANGE, "15000 65000", "before the boot program") == (
        writer.kind,
        writer.key,
        writer.value,
        writer.when,
    )
    assert f"The kernel command line sets {RANGE} before init starts" in writer.sentence


def test_a_kernel_command_line_that_is_missing_is_a_gap(tmp_path):
    """
    What cannot be read is told.
    """
    found = read_boot_writers([RANGE], "/", str(tmp_path))

    assert f"{tmp_path}/cmdline" in [gap.source for gap in found.gaps]


def test_below_another_root_no_process_and_no_command_line_counts(tmp_path):
    """
    What this host runs and was booted with says nothing about a tree elsewhere.
    """
    proc = make_tree(
        tmp_path / "proc",
        {"/cmdline": f"sysctl.{RANGE}=1", "/7/comm": "kube-proxy\n"},
    )

    found = read_boot_writers(
        [RANGE, CONNTRACK], make_tree(tmp_path / "tree", {"/etc": None}), proc
    )

    assert ((), None, ()) == (found.writers, found.tuned, found.gaps)


@pytest.mark.parametrize(
    ("command", "key", "when"),
    [
        ("kube-proxy", CONNTRACK, "any time"),
        ("k3s-server", CONNTRACK, "any time"),
        ("k3s-agent", CONNTRACK, "any time"),
        ("bpftune", "net.ipv4.tcp_max_orphans", "any time"),
        ("systemd", "fs.nr_open", "before the boot program"),
        ("systemd", "fs/file-max", "before the boot program"),
        ("systemd-network", "net.ipv4.conf.eth0.rp_filter", "any time"),
        ("kubelet", "kernel.panic", "any time"),
        ("dockerd", "net.ipv4.ip_forward", "any time"),
        ("cilium-agent", "net.core.bpf_jit_enable", "any time"),
    ],
)
def test_a_process_is_told_for_the_keys_that_it_writes(tmp_path, command, key, when):
    """
    A process that is known to write a key is told for it and for no other.
    """
    proc = {"/1/comm": "init\n", "/7/comm": f"{command}\n", "/cmdline": ""}

    (writer,) = of_host(tmp_path, proc, RANGE, key)

    assert ("process", command, key, None, when) == (
        writer.kind,
        writer.name,
        writer.key,
        writer.value,
        writer.when,
    )
    assert writer.sentence.startswith(f"{command} runs: {key} is ")


@pytest.mark.parametrize("command", ["kubelet", "dockerd", "systemd-network", "cilium-agent"])
def test_what_is_often_suspected_does_not_write_the_settings_of_ports(tmp_path, command):
    """
    kubelet, dockerd, networkd and Cilium set ports in containers and pods only, not on the host.
    """
    proc = {"/7/comm": f"{command}\n", "/cmdline": ""}

    assert [] == of_host(tmp_path, proc, *(setting.key for setting in SETTINGS))


def test_a_process_in_another_network_namespace_writes_elsewhere(tmp_path):
    """
    A process that shows another network namespace is left out; one that hides its own is not.
    """
    proc = {
        "/self/ns/net": Link("net:[1]"),
        "/7/comm": "kube-proxy\n",
        "/7/ns/net": Link("net:[2]"),
        "/8/comm": "bpftune\n",
        "/cmdline": "",
    }

    found = of_host(tmp_path, proc, CONNTRACK, "net.ipv4.tcp_max_orphans")

    assert ["bpftune"] == [writer.name for writer in found]


def test_a_name_is_compared_whole(tmp_path):
    """
    A process that only contains a known name is another one, with whatever bytes.
    """
    proc = {"/7/comm": "kube-proxy2\n", "/8/comm": b"\x1b[31mkube-proxy\n\n", "/cmdline": ""}

    assert [] == of_host(tmp_path, proc, CONNTRACK)


def test_names_of_processes_fit_what_the_kernel_keeps():
    """
    The kernel keeps 15 bytes of a name, so no row of the table has more.
    """
    assert [] == [known.command for known in KNOWN if len(os.fsencode(known.command)) > 15]


def test_a_root_that_is_no_folder_is_an_error(tmp_path):
    """
    A wrong root is never an empty answer.
    """
    path = Path(make_tree(tmp_path, {"/file": ""})) / "file"

    with pytest.raises(NotADirectoryError):
        read_boot_writers([RANGE], str(path))


def test_traces_and_tuned_come_after_what_the_host_runs(tmp_path):
    """
    Below a root tuned and the traces are what is left, in this order.
    """
    tree = {
        "/usr/sbin/tuned": "#!/usr/bin/python3\n",
        "/etc/tuned/active_profile": "mine\n",
        "/etc/tuned/mine/tuned.conf": f"[sysctl]\n{RANGE} = 15000 65000\n",
        "/etc/rc.local": f"sysctl -w {RANGE}='1 2'\n",
    }

    found = read_boot_writers([RANGE], make_tree(tmp_path, tree))

    assert [("tuned", "15000 65000"), ("trace", "1 2")] == [
        (writer.kind, writer.value) for writer in found.writers
    ]
    assert found.tuned is not None
