"""The kernel's answer to a written text is foretold, and explained in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import SETTINGS
from portroom.model.laws.acceptance import (
    KNOWN,
    RANGE_KEY,
    RESERVED_KEY,
    START_KEY,
    Build,
    canonical,
    write_once,
    write_whole,
)
from tests.unit.written_values import NEW, PARTS, ROWS, WHOLE_ROWS

ONE_NUMBER = "one number: only the first port changes"
OCTAL = "a leading 0 makes it octal:"

KEYS = st.sampled_from(sorted(KNOWN))

WRITTEN = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(b"0 1 2 80 1024 32768 65535 65536 - , \n 0x 7f +".split(b" ")), max_size=9
    ).map(b"".join),
    st.lists(st.integers(-5, 70_000), max_size=3).map(lambda numbers: b"%a" % numbers),
)


@st.composite
def states(draw):
    """Return a state that a kernel can be in: the range begins at the start or above."""
    start, first, last = sorted(draw(st.lists(st.integers(1, 65535), min_size=3, max_size=3)))
    ports = draw(st.sets(st.integers(0, 65535), max_size=9))
    return {
        START_KEY: str(start),
        RANGE_KEY: f"{first} {last}",
        RESERVED_KEY: str(PortSet.of(ports)),
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_one_write_does_what_the_row_says(row):
    """Count, value and errno of one write are those of the row."""
    written = write_once(row.key, row.data, row.state)

    assert (row.consumed_bytes, row.value, row.refusal) == written[:3]


@pytest.mark.parametrize("row", WHOLE_ROWS, ids=lambda row: row.id)
def test_a_writer_that_goes_on_does_what_the_row_says(row):
    """Count, value and errno of several writes are those of the row."""
    written = write_whole(row.key, row.data, row.state)

    assert (row.consumed_bytes, row.value, row.refusal) == written[:3]


@pytest.mark.parametrize(("key", "parts", "value"), PARTS)
def test_a_later_write_adds_to_a_list_and_changes_no_number(key, parts, value):
    """Only a list takes a second write, and joins no number that was split."""
    state, offset = dict(NEW), 0
    for part in parts:
        written = write_once(key, part, state, offset=offset)
        offset += written.consumed_bytes
        state[key] = written.value

    assert value == state[key]


REASONS = [
    (RANGE_KEY, b"15000 64000", []),
    (RANGE_KEY, b"", ["0 bytes: nothing happens"]),
    (RANGE_KEY, b"\n", ["there is no number, only blanks"]),
    (RANGE_KEY, b"15000", [ONE_NUMBER]),
    (RANGE_KEY, b"0xfa00 64000", ["hexadecimal: 0xfa00 is 64000"]),
    (RANGE_KEY, b"015000 064000", [f"{OCTAL} 015000 is 6656", f"{OCTAL} 064000 is 26624"]),
    (
        RANGE_KEY,
        b"032768 060999",
        ["'032768' is octal, because it begins with 0, and 8 is no octal digit"],
    ),
    (RANGE_KEY, b"15000 64000 # c", ["'#' and what follows is ignored"]),
    (RANGE_KEY, b"15000-64000", ["'-64000' may not follow 15000"]),
    (RANGE_KEY, b"15000,64000", ["',' may not follow 15000"]),
    (RANGE_KEY, b"15000 64000\r\n", [r"'\r' may not follow 64000"]),
    (RANGE_KEY, b"\x1b[31m1 2", [r"'\x1b[31m1' is no number"]),
    (RANGE_KEY, "１ ２".encode(), [r"'\uff11' is no number"]),
    (RANGE_KEY, b"\xff" * 30, ["'" + r"\\xff" * 24 + "'... is no number"]),
    (RANGE_KEY, b"64000 15000", ["the last port 15000 lies below the first, 64000"]),
    (RANGE_KEY, b"80 65535", [f"the first port 80 lies below {START_KEY}, 1024"]),
    (RANGE_KEY, b"15000 65536", ["65536 is above the highest value, 65535"]),
    (RANGE_KEY, b"-1 64000", ["-1 is below the lowest value, 1"]),
    (RANGE_KEY, b"1 18446744073709551616", ["18446744073709551616 is more than 64 bits hold"]),
    (RANGE_KEY, b"0" * 16 + b"40000", ["'000000000000000040000' is longer than 20 bytes"]),
    (
        RANGE_KEY,
        b"15000" + b" " * 5000 + b"64000",
        [ONE_NUMBER, "only the first 4095 of 5010 bytes are looked at"],
    ),
    (RANGE_KEY, b"1" * (1 << 22), ["4194304 bytes get no memory in the kernel"]),
    (START_KEY, b"32769", [f"32769 lies above the first port of {RANGE_KEY}, 32768"]),
    (RESERVED_KEY, b"9100-9000", ["the run 9100-9000 ends below its first port"]),
    (RESERVED_KEY, b"8080, 9090", ["a blank after '8080,', where a number must stand"]),
    (RESERVED_KEY, b"-1", ["-1: there may be no minus sign"]),
    (
        RESERVED_KEY,
        b"0x1,0x2,0x3,0x4,0x5",
        [*(f"hexadecimal: 0x{port} is {port}" for port in (1, 2, 3)), "and 2 more"],
    ),
    (RESERVED_KEY, b"\n" * 4096, ["one write takes 4095 of 4096 bytes"]),
    ("net.ipv4.tcp_tw_reuse", b"1 junk", ["'junk' and what follows is ignored"]),
    (
        "net.ipv4.tcp_fin_timeout",
        b"8589935",
        ["8589935 s are more than the kernel can count, 8589934 with 250 ticks a second"],
    ),
]


@pytest.mark.parametrize(
    ("key", "data", "notes"), REASONS, ids=[repr(data[:40])[1:] for _, data, _ in REASONS]
)
def test_what_is_odd_is_said_in_words(key, data, notes):
    """A refusal says what was seen and which rule, in printable ASCII; so does an oddity."""
    actual = write_once(key, data, NEW).reason

    assert "; ".join(notes) == actual
    assert actual.isascii()
    assert actual.isprintable()


def test_a_later_write_is_said_to_be_one():
    """A write that does not begin at byte 0 says what becomes of it."""
    ignored = write_once(RANGE_KEY, b"15000 64000", NEW, offset=12)
    added = write_once(RESERVED_KEY, b"8080", NEW, offset=12)

    assert "ignored: it begins at byte 12" == ignored.reason
    assert "added to what is there: it begins at byte 12" == added.reason


def test_a_refusal_half_way_says_what_stays():
    """Of a long list with junk at its end, what the writes before took stays."""
    written = write_whole(RESERVED_KEY, b"8080," * 1000 + b"x", NEW)

    assert ("8080", "EINVAL") == (written.value, written.refusal)
    assert "'x' is no number; the 4090 bytes before stay applied" == written.reason


def test_a_list_that_is_written_whole_is_not_odd():
    """That it took several writes is nothing that a person needs to know."""
    assert "" == write_whole(RESERVED_KEY, b"8080," * 1000, NEW).reason


def test_a_sysctl_that_does_not_exist_rules_nothing_out():
    """Without ip_unprivileged_port_start a range may begin at port 1."""
    assert "1 65535" == write_once(RANGE_KEY, b"1 65535", {RANGE_KEY: "32768 60999"}).value
    assert "60000" == write_once(START_KEY, b"60000", {START_KEY: "1024"}).value


def test_a_kernel_with_large_pages_looks_at_more():
    """With pages of 64 KiB one write takes a list that needs several elsewhere."""
    data = b"8080," * 10_000

    assert len(data) == write_once(RESERVED_KEY, data, NEW, build=Build(1 << 16)).consumed_bytes


def test_an_unknown_sysctl_is_an_error():
    """What this law does not know it does not guess."""
    with pytest.raises(KeyError):
        write_once("kernel.pid_max", b"1", {})


def test_the_table_agrees_with_the_settings():
    """Every setting has a row; bounds and defaults that both tell are the same."""
    assert {setting.key for setting in SETTINGS} == set(KNOWN)
    for setting in SETTINGS:
        shape = KNOWN[setting.key].shape
        assert setting.lowest in {None, shape.lowest}
        assert setting.highest in {None, shape.highest}
        assert held(setting.default) == KNOWN[setting.key].default


def held(default):
    """Return a default of the settings as the text that the sysctl holds."""
    if isinstance(default, PortRange):
        return f"{default.first} {default.last}"
    return None if default is None else str(default)


@given(KEYS, WRITTEN, states(), st.sampled_from((0, 0, 1, 4095)))
def test_no_bytes_break_the_law(key, data, state, offset):
    """Whatever is written, it is taken or refused; a refusal changes nothing and says why."""
    before = state.get(key, KNOWN[key].default or "")
    written = write_once(key, data, state, offset=offset)

    assert 0 <= written.consumed_bytes <= len(data)
    assert written.reason.isascii()
    assert written.reason.isprintable()
    if written.refusal:
        assert (0, before) == written[:2]
        assert written.reason


@given(KEYS, WRITTEN, states())
def test_an_accepted_value_is_a_fixed_point(key, data, state):
    """What a sysctl holds can be written to it, changes nothing then and is not odd."""
    value = write_once(key, data, state).value
    state[key] = value
    again = write_once(key, value.encode() + b"\n", state)

    assert ("", value) == (again.refusal, again.value) or not value
    assert "" == again.reason or not value
    assert value == canonical(value)


@given(st.sets(st.integers(0, 65535), max_size=3000))
def test_any_set_of_ports_can_be_written_whole(ports):
    """Going on after short counts, a list of any length arrives."""
    text = ",".join(map(str, sorted(ports))) + "\n"
    written = write_whole(RESERVED_KEY, text.encode(), {})

    assert (len(text), str(PortSet.of(ports))) == written[:2]


@given(KEYS, WRITTEN, states())
def test_what_needs_one_write_is_the_same_written_whole(key, data, state):
    """A writer that may go on and need not does what one write does."""
    once = write_once(key, data, state)
    whole = write_whole(key, data, state)

    assert once == whole or once.consumed_bytes < len(data)
