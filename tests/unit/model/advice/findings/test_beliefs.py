"""Myths: found where somebody followed one, and refused by name."""

from __future__ import annotations

import msgspec
import pytest

from portroom.errors import InvalidRequestError
from portroom.model.advice.doctor import named
from portroom.model.advice.findings.beliefs import (
    myth_count,
    myth_fin_timeout,
    myth_tw_buckets,
    myth_tw_recycle,
    myth_wide_range,
)
from portroom.model.advice.findings.myths import MYTHS, myth_named
from portroom.model.advice.findings.table import FINDINGS
from portroom.model.facts.ports import PortRange
from portroom.model.laws.redact import redact
from tests.unit.made_boot import boot
from tests.unit.made_change import host
from tests.unit.made_scenes import SHOP, scene, small, time_waits

CONF = b"/etc/sysctl.d/99-tuning.conf"


def with_file(text: bytes, **changes):
    """Return the scene of a host with one file of sysctls."""
    read = msgspec.structs.replace(host(**changes), boot=boot({CONF: text}))
    return scene(read)


def test_fin_timeout_is_told_with_the_time_waits_that_it_does_not_shorten():
    """15 instead of 60, and 20 TIME_WAITs all the same."""
    (one,) = myth_fin_timeout(scene(small(time_waits(40000, 20, [3.0]), tcp_fin_timeout=15)))

    assert "tcp_fin_timeout is 15 instead of 60" in one.evidence
    assert "the 20 connections there now" in one.evidence
    assert "info" == one.severity
    assert "sysctl -w net.ipv4.tcp_fin_timeout=60" == one.command


@pytest.mark.parametrize("value", [60, 120])
def test_fin_timeout_that_nobody_lowered(value):
    """The default, or longer."""
    assert [] == list(myth_fin_timeout(scene(small(tcp_fin_timeout=value))))


@pytest.mark.parametrize(
    "line",
    [b"net.ipv4.tcp_tw_recycle = 1", b"net/ipv4/tcp_tw_recycle=1", b"-net.ipv4.tcp_tw_recycle=1"],
)
def test_tw_recycle_in_a_file(line):
    """However the line is spelled, with its place."""
    (one,) = myth_tw_recycle(with_file(b"# tuned\n" + line + b"\n"))

    assert "/etc/sysctl.d/99-tuning.conf:2" in one.evidence
    assert "gone since Linux 4.12" in one.evidence
    assert "portroom boot --key net.ipv4.tcp_tw_recycle" == one.command


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"# net.ipv4.tcp_tw_recycle = 1\n",
        b"net.ipv4.tcp_tw_recycle = 0\n",
        b"net.ipv4.tcp_tw_reuse = 1\n",
        b"net.ipv4.tcp_tw_recycle = yes\n",
    ],
)
def test_no_line_that_switches_recycling_on(text):
    """None, a comment, off, its neighbour, or no number."""
    assert [] == list(myth_tw_recycle(with_file(text)))


def test_files_of_the_host_are_nothing_to_a_namespace():
    """They do not reach it."""
    there = with_file(b"net.ipv4.tcp_tw_recycle = 1\n").read

    assert [] == list(myth_tw_recycle(scene(msgspec.structs.replace(there, netns=SHOP))))


def test_a_redacted_snapshot_keeps_the_line():
    """Who reads a report sees the same finding."""
    (one,) = myth_tw_recycle(scene(redact(with_file(b"net.ipv4.tcp_tw_recycle = 1\n").read)))

    assert 1 == one.numbers["lines"]


def test_tw_buckets_lowered_by_a_file():
    """Fewer entries than one destination has ports."""
    (one,) = myth_tw_buckets(
        with_file(b"net.ipv4.tcp_max_tw_buckets = 5000\n", tcp_max_tw_buckets=5000)
    )

    assert "/etc/sysctl.d/99-tuning.conf:1 lowers tcp_max_tw_buckets to 5,000" in one.evidence
    assert "fewer than the 28,232 ports" in one.evidence


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"net.ipv4.tcp_max_tw_buckets = 2000000\n", 2_000_000),
        (b"", 4096),
        (b"net.ipv4.tcp_max_tw_buckets = 5000\n", 131_072),
    ],
)
def test_tw_buckets_that_nobody_lowered(text, value):
    """Raised, small because the machine is small, or not in force."""
    assert [] == list(myth_tw_buckets(with_file(text, tcp_max_tw_buckets=value)))


@pytest.mark.parametrize(
    ("ephemeral", "below"),
    [
        (PortRange(1024, 65535), "8,976"),
        (PortRange(1025, 65000), "8,975"),
        (PortRange(9999, 65000), "1 port"),
    ],
)
def test_a_range_over_the_ports_of_services(ephemeral, below):
    """With none of them reserved."""
    (one,) = myth_wide_range(scene(small(ephemeral=ephemeral)))

    assert f"takes in {below}" in one.evidence
    assert "none below 32,768 is reserved" in one.evidence
    assert "portroom set range=15000-64001 --reserve --try" == one.command


@pytest.mark.parametrize(
    "read",
    [
        small(ephemeral=PortRange(10000, 65000)),
        small(ephemeral=PortRange(32768, 60999)),
        small(ephemeral=PortRange(1024, 65535), reserved="6443,10250"),
    ],
)
def test_a_range_that_was_thought_about(read):
    """It begins higher, or ports of services are reserved."""
    assert [] == list(myth_wide_range(scene(read)))


def test_the_old_default_is_one_port_too_long():
    """28,233 ports, of which one is lost."""
    (one,) = myth_count(scene(small(ephemeral=PortRange(32768, 61000))))

    assert "28,233 ports" in one.evidence
    assert "28,232 ports" in one.evidence
    assert [] == list(myth_count(scene(host())))


# Refused by name.


@pytest.mark.parametrize(
    ("word", "name", "truth"),
    [
        ("tcp_fin_timeout", "myth_fin_timeout", "It does not shorten TIME_WAIT"),
        ("net.ipv4.tcp_tw_recycle", "myth_tw_recycle", "gone since Linux 4.12"),
        ("net/ipv4/tcp_max_tw_buckets", "myth_tw_buckets", "It is no setting for ports"),
        ("1024-65535", "myth_wide_range", "NodePorts"),
        ("1024 65535", "myth_wide_range", "SELinux"),
        ("28231", "myth_count", "60999 - 32768 + 1 = 28,232"),
        ("28,233", "myth_count", "32768-61000"),
        ("myth_count", "myth_count", "Both ends count"),
    ],
)
def test_a_myth_is_refused_with_the_truth_and_the_better_command(word, name, truth):
    """By what people type."""
    found, row, myth = named(word)

    assert name == found
    assert truth in myth.truth
    assert myth.command.startswith("portroom ")
    assert row.title == myth.title


def test_a_finding_is_known_by_its_name():
    """Also with dashes."""
    assert ("tight_key", None) == named("tight-key")[::2]


@pytest.mark.parametrize(
    ("word", "said"), [("tight_keys", "tight_key"), ("tcp_tw_recycel", "tcp_tw_recycle")]
)
def test_a_wrong_name_is_refused_with_the_nearest(word, said):
    """A slip is told."""
    with pytest.raises(InvalidRequestError) as refused:
        named(word)

    assert f"Did you mean '{said}'?" == refused.value.hint


def test_no_word_means_two_myths():
    """And no myth is missing in the table of findings."""
    words = [word for one in MYTHS for word in (one.name, *one.words)]

    assert len(words) == len(set(words))
    assert all(one is myth_named(word) for one in MYTHS for word in one.words)
    assert {one.name for one in MYTHS} == {name for name in FINDINGS if name.startswith("myth_")}


@pytest.mark.parametrize("myth", MYTHS, ids=lambda one: one.name)
def test_a_command_that_sets_something_is_one_that_portroom_takes(myth):
    """The better command is no slip."""
    from portroom.model.advice.requests import parse_words

    words = [word for word in myth.command.split() if "=" in word]

    assert len(words) == len(parse_words(words)) if words else "headroom" in myth.command
