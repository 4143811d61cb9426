"""Mistakes in what is typed: exit 2, one sentence that quotes them, nothing else."""

import time
from pathlib import Path

import pytest

from tests.e2e.faults import MS_BIND, alone, answered, ask, mount, needs_root, refused
from tests.kernel.sockets import fill, listener, udp

COMMANDS = ("status", "headroom", "sessions", "settings", "boot", "snapshot")

TYPOS = [
    (["stauts"], "Did you mean 'status'?"),
    (["headroom", "extra", "extra"], "extra"),
    (["--bogus"], "'--bogus'"),
    (["--limit", "5", "headroom"], "portroom headroom"),
    (["headroom", "--limt", "5"], "--limit"),
    (["headroom", "--limit", "-1"], "-1"),
    (["headroom", "--limit", "x"], "'x'"),
    (["headroom", "--limit", "1.5"], "'1.5'"),
    (["headroom", "--limit"], "--limit"),
    (["headroom", "--warn-below", "-1"], "-1"),
    (["headroom", "--warn-below", "many"], "'many'"),
    (["headroom", "--threads", "-1"], "-1"),
    (["headroom", "--proto", "tpc"], "'tpc'"),
    (["headroom", "--operation", "bind"], "'bind'"),
    (["headroom", "--from", "1.2.3"], "'1.2.3'"),
    (["headroom", "1.2.3.4:80", "--from", "::1"], "different families"),
    (["headroom", "1.2.3.4:80", "--operation", "bind0"], "bind0 has no destination"),
    (["headroom", "1.2.3.4:99999"], "'99999' is not 1 to 65535"),
    (["headroom", "1.2.3.4:0"], "'0' is not 1 to 65535"),
    (["headroom", "1.2.3.4:-1"], "'-1'"),
    (["headroom", "1.2.3.4:８０"], "'８０'"),
    (["headroom", "1.2.3.4:htpps"], "The service name 'htpps' is unknown for tcp"),
    (["headroom", "[::1:80"], "'[::1:80' is not a destination"),
    (["headroom", "[::1]x"], "'[::1]x'"),
    (["headroom", "https://example.org/"], "is not a destination"),
    (["headroom", ""], "'' is not a destination"),
    (["headroom", "a\x1b[31m:80"], "'a\\x1b[31m:80' is not a destination"),
    (["headroom", "a b:80"], "'a b:80'"),
    (["headroom", "198.51.100.7"], "Nothing is connected to '198.51.100.7'"),
    (["headroom", "[fe80::1%nope]:80"], "No device 'nope'"),
    (["headroom", "--probe"], "--probe needs the destination"),
    (["headroom", "--probe-last"], "--probe-last goes with --probe"),
    (["headroom", "1.2.3.4:5", "--probe", "--proto", "udp"], "--probe is for TCP"),
    (["headroom", "1.2.3.4:5", "--probe", "--snapshot", "x"], "not with --snapshot"),
    (["sessions", "--state", "establishd"], "'establishd'"),
    (["sessions", "--proto", "unix"], "out of scope"),
    (["sessions", "--local", ":99999"], "':99999'"),
    (["sessions", "--local", ":9-1"], "':9-1'"),
    (["sessions", "--remote", "10.0.0.0/33"], "'10.0.0.0/33'"),
    (["sessions", "--remote", "10.0.0"], "'10.0.0'"),
    (["sessions", "--sort", "size"], "'size'"),
    (["sessions", "--limit", "-1"], "-1"),
    (["sessions", "--limit", "٣x"], "'٣x'"),
    (["settings", "rang"], "Did you mean 'range'?"),
    (["settings", "net.ipv4.\x1b"], "\\x1b"),
    (["boot", "--program", "sysd"], "'sysd'"),
    (["boot", "--root", "/no\x1bwhere"], "'/no\\x1bwhere' is no folder"),
    (["boot", "--root", ""], "'' is no folder"),
    (["boot", "--root", "/", "--snapshot", "x"], "exclude each other"),
    (["boot", "--key", "rang"], "Did you mean 'range'?"),
    (["boot", "--key", "net.ipv4.*"], "is not the key of one sysctl"),
    (["boot", "--key", "net/../../etc/passwd"], "is not the key of one sysctl"),
    (["boot", "--netns", "web"], "--netns"),
    (["boot", "range"], "range"),
    (["snapshot", "--force"], "--force goes with --out"),
    (["snapshot", "--all-netns"], "--all-netns"),
    (["snapshot", "-o", "csv"], "'csv'"),
    (["completion", "tcsh"], "'tcsh'"),
    (["completion"], "bash"),
    (["status", "-o", "xml"], "'xml'"),
    (["status", "--netns", "a", "--all-netns"], "exclude each other"),
    (["status", "--netns", "a", "--snapshot", "b"], "exclude each other"),
]


@pytest.mark.parametrize(("words", "told"), TYPOS, ids=lambda value: repr(value)[:60])
def test_a_mistake_is_told_in_one_sentence(words, told):
    """It is quoted, escaped, and what to do is said where there is something."""
    refused(ask(*words), 2, told)


def test_bytes_that_are_no_text_are_quoted():
    """Arguments are bytes to the kernel; each command escapes what it quotes."""
    for words in (["\udcff"], ["headroom", "\udcff:80"], ["status", "--netns", "\udcff"]):
        refused(ask(*words), 2, "\\udcff")
    refused(ask("status", "--snapshot", "/\udcff"), 2, "\\udcff")


def test_a_dead_resolver_is_told_in_time(netns):
    """No route to any name server: exit 2 within seconds, and what may be the cause."""
    ended = netns(lambda: ask("headroom", "host.example:443"))

    refused(ended, 2, "'host.example'", "UDP ports may be exhausted", "headroom --proto udp")


@needs_root
def test_a_resolver_that_never_answers_is_left_behind():
    """A name server that takes the question and says nothing: 2 seconds, exit 2."""

    def job():
        udp(("127.0.0.1", 53))
        Path("/run/resolv.conf").write_text("nameserver 127.0.0.1\n")
        Path("/run/nsswitch.conf").write_text("hosts: dns\n")
        mount("/run/resolv.conf", "/etc/resolv.conf", "", MS_BIND)
        mount("/run/nsswitch.conf", "/etc/nsswitch.conf", "", MS_BIND)
        before = time.monotonic()
        ended = ask("headroom", "host.example:443")
        return ended, time.monotonic() - before

    ended, seconds = alone(job)

    refused(ended, 2, "'host.example'", "within 2 s", "UDP ports may be exhausted")
    assert seconds < 8


def test_help_is_no_mistake():
    """Of each command, on stdout, with status 0."""
    for command in COMMANDS:
        answered(ask(command, "--help"), "Usage: portroom")
        answered(ask(command, "-h"), "Exit status")


def test_warn_below_is_1_only_where_it_is_sure(netns):
    """Fewer for certain 1, enough for certain 0, in doubt or unread 3."""

    def job():
        listener("127.0.0.1", 9000)
        fill(("127.0.0.1", 9000), at_most=4)
        words = "headroom", "127.0.0.1:9000", "--warn-below"
        return (
            ask(*words, "10"),
            ask(*words, "6"),
            ask("headroom", "203.0.113.9:1", "--warn-below", "1"),
        )

    fewer, enough, unread = netns(job, ip_local_port_range="40000 40009")

    assert (1, "") == (fewer.status, fewer.told)
    assert (0, "") == (enough.status, enough.told)
    assert 3 == unread.status


def test_warn_below_in_doubt_is_3_and_says_between_what(netns):
    """Ports of which the kernel does not tell decide nothing."""

    def job():
        listener("127.0.0.1", 9000)
        fill(("127.0.0.1", 9000), at_most=1)
        return [
            ask("headroom", "127.0.0.9:9000", "--from", "127.0.0.1", "--warn-below", below)
            for below in ("10", "11")
        ]

    undecided, fewer = netns(job, ip_local_port_range="40000 40009")

    assert 1 == fewer.status
    assert (3, True) == (undecided.status, "cannot be decided" in undecided.told), undecided
