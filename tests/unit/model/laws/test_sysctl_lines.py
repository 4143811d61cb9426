"""A line of a sysctl file is what each program takes it for."""

import pytest
from hypothesis import given, strategies

from portroom.model.laws.dialects import DIALECTS, dialect
from portroom.model.laws.sysctl_lines import (
    Assignment,
    found_by,
    led_to,
    meant,
    parse_line,
    spelled,
    split_lines,
    with_dots,
    with_slashes,
)

SYSTEMD, OLD_SYSTEMD = dialect("systemd"), dialect("systemd", (247,))
PROCPS, OLD_PROCPS = dialect("procps"), dialect("procps", (3, 3, 17))
TUNED, OLD_TUNED = dialect("tuned"), dialect("tuned", (2, 15))

REUSE = b"net/ipv4/tcp_tw_reuse"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (SYSTEMD, [(1, b"a"), (1, b"b"), (2, b"c"), (2, b"d")]),
        (PROCPS, [(1, b"a\rb"), (2, b"c\0d")]),
        (TUNED, [(1, b"a"), (1, b"b"), (2, b"c\0d")]),
    ],
)
def test_a_line_ends_where_the_program_says(rules, expected):
    """
    Numbers count line feeds, as editors do, also where other bytes end a line.
    """
    actual = list(split_lines(b"a\rb\nc\0d\n \n", rules.line_ends))

    assert expected == actual


@pytest.mark.parametrize("rules", DIALECTS, ids=lambda rules: rules.name)
def test_a_plain_line_is_the_same_for_all(rules):
    """
    A key with dots, a value, blanks around both.
    """
    expected = Assignment(REUSE, b"1")
    actual = parse_line(b" \tnet.ipv4.tcp_tw_reuse\t = 1 ", rules)

    assert expected == actual


@pytest.mark.parametrize(
    ("line", "rules", "key", "value"),
    [
        (b"-a = 1", SYSTEMD, b"a", b"1"),
        (b"- a = 1", SYSTEMD, b"a", b"1"),
        (b"- a = 1", PROCPS, b" a", b"1"),
        (b"--a = 1", PROCPS, b"a", b"1"),
        (b"--a = 1", OLD_PROCPS, b"-a", b"1"),
        (b"-a = 1", TUNED, b"-a", b"1"),
        (b"-a", SYSTEMD, b"a", None),
        (b"-a", PROCPS, b"a", None),
        (b"==a = 1", OLD_PROCPS, b"a", b"1"),
        (b"a = 1\f", SYSTEMD, b"a", b"1\f"),
        (b"a = 1\f", PROCPS, b"a", b"1"),
        (b"a = 1\rb", OLD_PROCPS, b"a", b"1"),
        (b"a =\r1", OLD_PROCPS, b"a", b"1"),
        (b"a = 1\xc2\xa0", TUNED, b"a", b"1"),
        (b"a = 1\xc2\xa0", PROCPS, b"a", b"1\xc2\xa0"),
        (b"a = 1\0 2", PROCPS, b"a", b"1"),
        (b"a = 1\0 2", TUNED, b"a", b"1\0 2"),
        (b"a =", SYSTEMD, b"a", b""),
        (b"a = b = c", SYSTEMD, b"a", b"b = c"),
        (b"a.b/c = 1", SYSTEMD, b"a/b.c", b"1"),
        (b"a/b.c = 1", SYSTEMD, b"a/b.c", b"1"),
        (b"a/b.c = 1", TUNED, b"a.b/c", b"1"),
        (b"a/b.c = 1", OLD_TUNED, b"a/b/c", b"1"),
        (b"a..b = 1", SYSTEMD, b"a/b", b"1"),
        (b"a..b = 1", PROCPS, b"a//b", b"1"),
    ],
)
def test_programs_take_a_line_for_different_things(line, rules, key, value):
    """
    Key and value are those that the program would write.
    """
    expected = Assignment(key, value)
    actual = parse_line(line, rules)

    assert expected == actual


@pytest.mark.parametrize(
    ("line", "rules", "problem"),
    [
        (b"nonsense", SYSTEMD, "there is no '=' in it"),
        (b"-a", OLD_PROCPS, "there is no '=' in it"),
        (b"-a", TUNED, "there is no '=' in it"),
        (b"a =", OLD_PROCPS, "the value is empty"),
        (b"a =", TUNED, "the value is empty"),
        (
            b"net.x = 1",
            TUNED._replace(left_out=("net.*",)),
            "the configuration of tuned leaves it out",
        ),
    ],
)
def test_what_is_no_setting_has_a_reason(line, rules, problem):
    """
    The reason is a clause.
    """
    expected = problem
    actual = parse_line(line, rules).problem

    assert expected == actual


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"net.ipv4.tcp_tw_reuse = 1", REUSE),
        (b"  - net/ipv4/tcp_tw_reuse", REUSE),
        (b'"net.ipv4.tcp_tw_reuse" = 1', REUSE),
        (b"\xef\xbb\xbfnet.ipv4.tcp_tw_reuse=1", REUSE),
        (b"/proc/sys/net/ipv4/tcp_tw_reuse = 1", REUSE),
        (b"net/core/../ipv4//./tcp_tw_reuse = 1", REUSE),
        (b"=net.ipv4.tcp_tw_reuse = 1", REUSE),
        (b"# net.ipv4.tcp_tw_reuse = 1", b""),
        (b" ; net.ipv4.tcp_tw_reuse = 1", b""),
        (b"net.ipv4.tcp_tw_* = 1", b"net/ipv4/tcp_tw_*"),
    ],
)
def test_what_a_person_means_is_known_whatever_the_program_reads(line, path):
    """
    A line that is spoiled is still shown to who looks for its key.
    """
    expected = path
    actual = meant(line)

    assert expected == actual


@pytest.mark.parametrize(
    ("key", "rules", "path"),
    [
        (REUSE, SYSTEMD, REUSE),
        (b"net//ipv4/./tcp_tw_reuse", PROCPS, REUSE),
        (REUSE + b"/", PROCPS, None),
        (b"net/core/../ipv4/tcp_tw_reuse", PROCPS, REUSE),
        (b"net/core/../ipv4/tcp_tw_reuse", SYSTEMD, None),
        (b"net/core/../ipv4/tcp_tw_reuse", OLD_SYSTEMD, REUSE),
        (b"net/nosuch/../ipv4/tcp_tw_reuse", PROCPS, None),
        (b"../sys/net/ipv4/tcp_tw_reuse", PROCPS, REUSE),
        (b"../../etc/passwd", PROCPS, None),
        (b"../" * 50 + b"proc/sys/net/ipv4/tcp_tw_reuse", PROCPS, REUSE),
    ],
)
def test_a_key_leads_to_a_path_or_nowhere(key, rules, path):
    """
    Folders on the way must exist, and nothing outside of /proc/sys is a sysctl.
    """
    expected = path
    actual = led_to(key, rules, [REUSE])

    assert expected == actual


@pytest.mark.parametrize(
    ("pattern", "spelling"),
    [
        (b"net/*/tcp_tw_reuse", REUSE),
        (b"net//ipv4/tcp_*", b"net//ipv4/tcp_tw_reuse"),
        (b"net/core/../ipv4/tcp_*", b"net/core/../ipv4/tcp_tw_reuse"),
        (b"net/*/../ipv4/tcp_tw_reuse", None),
        (b"net/ipv4/tcp_*/", None),
        (b"net/*", None),
        (b"*/*/*/*", None),
    ],
)
def test_a_pattern_spells_what_it_finds(pattern, spelling):
    """
    The spelling is that of the pattern, as glob(3) gives it.
    """
    expected = spelling
    actual = found_by(pattern, REUSE, PROCPS, [REUSE])

    assert expected == actual


@given(strategies.binary(max_size=40), strategies.sampled_from(DIALECTS))
def test_any_bytes_are_a_line(line, rules):
    """
    Nothing raises, and what is taken for a key has no blank at its end.
    """
    taken = parse_line(line, rules)

    assert isinstance(meant(line), bytes)
    assert isinstance(led_to(taken.key, rules, [REUSE]), bytes | None)
    assert taken.key == taken.key.rstrip(rules.blanks)
    assert found_by(taken.key, REUSE, rules, [REUSE]) in {None, REUSE} or b"/" in taken.key


@given(strategies.binary(max_size=40), strategies.sampled_from(DIALECTS))
def test_no_byte_of_a_file_is_lost(content, rules):
    """
    All lines together hold every byte that is no blank and ends no line.
    """
    lines = b"".join(line for _, line in split_lines(content, rules.line_ends))
    blanks = b" \t\n\v\f\r" + rules.line_ends

    assert content.translate(None, blanks) == lines.translate(None, blanks)


@given(strategies.binary(max_size=20))
def test_dots_and_slashes_swap_back(path):
    """
    A path, written as people do, is that path again, if its first part has no dot.
    """
    named = b"net/" + path

    assert named == with_slashes(with_dots(named))
    assert spelled(named, PROCPS) == named.rstrip(PROCPS.blanks)
