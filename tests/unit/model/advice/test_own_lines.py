"""What portroom writes into its file, and what it leaves there."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.model.advice.own_lines import (
    HEADER,
    LONGEST_WORDS,
    MARK,
    Note,
    says_nothing,
    with_settings,
    without_settings,
)
from portroom.model.facts.sysctl_files import FILE, SysctlFile, SysctlTree
from portroom.model.laws.boot import boot
from portroom.model.laws.dialects import DIALECTS
from tests.unit.made_boot import LINES

RANGE, REUSE = "net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse"
RESERVED = "net.ipv4.ip_local_reserved_ports"

NOTE = Note(datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.UTC), "root (alice)", "x=1")


def contents():
    """Return a strategy for what stands in a file."""
    lines = some.builds(
        bytes.__add__, LINES, some.sampled_from([b"\n", b"\n", b"\r\n", b"\r", b"\0\n"])
    )
    return some.lists(lines, max_size=6).map(b"".join)


def test_a_new_file_says_what_it_is_and_each_line_why():
    """
    The comment has what, when, who and the words; the line is canonical.
    """
    text = with_settings(b"", {RANGE: "15000 64001", RESERVED: ""}, NOTE)

    assert text == (
        HEADER + b"# portroom: range, 2026-03-01T12:30:00Z, by root (alice): x=1\n"
        b"net.ipv4.ip_local_port_range = 15000 64001\n"
        b"# portroom: reserved, 2026-03-01T12:30:00Z, by root (alice): x=1\n"
        b"net.ipv4.ip_local_reserved_ports =\n"
    )
    assert text.isascii()


def test_an_instant_of_another_zone_is_told_in_utc():
    """
    Whoever reads the file may be elsewhere.
    """
    zone = datetime.timezone(datetime.timedelta(hours=5))
    note = NOTE._replace(at=datetime.datetime(2026, 3, 1, 2, tzinfo=zone))

    assert b"2026-02-28T21:00:00Z" in with_settings(b"", {REUSE: "1"}, note)


@pytest.mark.parametrize("words", ["a\nnet.ipv4.tcp_tw_reuse = 0", "a\rb", "\0\x1b[1m", "\u202eé"])
def test_hostile_words_stay_in_their_comment(words):
    """
    A name or a command line adds no line, and no byte that is not ASCII.
    """
    text = with_settings(b"", {REUSE: "1"}, NOTE._replace(by=words, why=words))

    assert text.isascii()
    assert text.removeprefix(HEADER).count(b"\n") == 2
    assert not set(b"\r\0\x1b\x0c\x0b") & set(text)


def test_a_long_command_line_is_cut():
    """
    A list of 9 KB stands in its line, and not a second time above it.
    """
    text = with_settings(b"", {REUSE: "1"}, NOTE._replace(why="x" * 9000))

    assert len(text) < len(HEADER) + LONGEST_WORDS + 100
    assert b"xxx...\n" in text


def test_only_the_lines_that_set_the_same_are_replaced():
    """
    Lines made by hand stay, in their order, whatever they look like.
    """
    before = (
        b"; by alice\r\n"
        b"net/ipv4/tcp_tw_reuse=1\n"
        b"\tvm.swappiness = 10 \n"
        b"# portroom: range, long ago\n"
        b"net.ipv4.ip_local_port_range = 1 2\n"
        b"# net.ipv4.ip_local_port_range = 3 4\n"
        b"-net.ipv4.ip_local_port_range=5 6\n"
        b"net.ipv4.ip_local_port_range: 7 8\n"
        b"-net.ipv4.ip_local_port_range\n"
        b"net.ipv4.ip_local_* = 9\n"
        b"\xff without end"
    )
    kept = (
        b"; by alice\r\n"
        b"net/ipv4/tcp_tw_reuse=1\n"
        b"\tvm.swappiness = 10 \n"
        b"# net.ipv4.ip_local_port_range = 3 4\n"
        b"net.ipv4.ip_local_port_range: 7 8\n"
        b"-net.ipv4.ip_local_port_range\n"
        b"net.ipv4.ip_local_* = 9\n"
        b"\xff without end"
    )

    assert without_settings(before, [RANGE]) == kept
    assert with_settings(before, {RANGE: "9 9"}, NOTE).startswith(kept + b"\n" + MARK)


def test_a_comment_of_another_line_stays():
    """
    Only the one right above the line goes with it.
    """
    text = b"# portroom: a\n\nnet.ipv4.tcp_tw_reuse = 1\n# by hand\nnet.ipv4.tcp_tw_reuse = 2\n"

    assert without_settings(text, [REUSE]) == b"# portroom: a\n\n# by hand\n"


def test_a_file_without_a_setting_says_nothing():
    """
    It may go; one with a comment by hand may not.
    """
    assert says_nothing(b"")
    assert says_nothing(without_settings(with_settings(b"", {REUSE: "1"}, NOTE), [REUSE]))
    assert not says_nothing(HEADER + b"# mine\n")


@given(contents())
def test_the_same_again_is_the_same_text(content):
    """
    Nothing piles up.
    """
    once = with_settings(content, {RANGE: "9 9", REUSE: "1"}, NOTE)

    assert once == with_settings(once, {RANGE: "9 9", REUSE: "1"}, NOTE)


@given(contents(), some.sampled_from(DIALECTS))
def test_no_program_finds_a_line_that_sets_it(content, rules):
    """
    But for patterns, which no line of ours replaces.
    """
    left = without_settings(content, [REUSE])
    tree = SysctlTree((SysctlFile(b"/etc/sysctl.d/90-portroom.conf", FILE, left),))
    booted = boot(tree, rules._replace(expands_keys=False), [REUSE], {REUSE: "2"})

    assert booted.state[REUSE] == "2"


@given(contents())
def test_what_stays_stays_byte_by_byte(content):
    """
    Bytes are left out, and none is changed or added.
    """
    left = iter(content)

    assert all(byte in left for byte in without_settings(content, [REUSE, RANGE]))
