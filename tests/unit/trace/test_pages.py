"""Prove how a page of the trace buffer is read."""

import contextlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.trace.events import BEFORE, FAILURES, CallExit, StateChange
from portroom.trace.pages import Place, parse_kinds, parse_layout, parse_page
from tests.unit.trace.made_pages import (
    data_event,
    discarded,
    page,
    page_of,
    recorded_decoders,
    recorded_layout,
    text_of,
    time_extend,
    time_stamp,
    word,
)

LAYOUT = recorded_layout()

deltas = some.integers(0, (1 << 27) - 1)
payloads = some.integers(1, 40).flatmap(
    lambda words: some.binary(min_size=words * 4, max_size=words * 4)
)

pytestmark = pytest.mark.skipif(
    sys.byteorder != "little", reason="pages are recorded and made as by little-endian machines"
)


@given(some.integers(0, 1 << 58), some.lists(some.tuples(deltas, payloads), max_size=20))
def test_what_is_written_is_read(at_ns, wanted):
    """
    Each event comes out with the time that passed up to it, and its data whole.
    """
    made = page(at_ns, *(data_event(delta, payload) for delta, payload in wanted))

    found = parse_page(made, LAYOUT)

    passed = [at_ns + sum(delta for delta, _ in wanted[: n + 1]) for n in range(len(wanted))]
    assert passed == [place.at_ns for place in found]
    assert [payload for _, payload in wanted] == [
        made[place.offset : place.offset + place.length] for place in found
    ]


@given(some.integers(0, 1 << 40), some.integers(0, 1 << 50), deltas)
def test_long_pauses_add_up(at_ns, pause, delta):
    """
    Time that does not fit into an event stands in one of its own before it.
    """
    made = page(at_ns, time_extend(pause), data_event(delta, b"data"))

    assert [at_ns + pause + delta] == [place.at_ns for place in parse_page(made, LAYOUT)]


@given(some.integers(0, (1 << 59) - 1), deltas)
def test_a_time_stamp_sets_the_time(at_ns, delta):
    """
    A time stamp sets the lower 59 bits, whatever passed before.
    """
    made = page(5, time_stamp(at_ns), data_event(delta, b"data"))

    assert [at_ns + delta] == [place.at_ns for place in parse_page(made, LAYOUT)]


def test_a_discarded_event_only_lets_time_pass():
    """
    An event that was given up is skipped, and its time counts.
    """
    made = page(100, discarded(7, 24), data_event(1, b"data"))

    assert [Place(108, 16 + 4 + 24 + 4, 4)] == parse_page(made, LAYOUT)


def test_padding_without_time_ends_a_page():
    """
    What follows such padding is what the page held before.
    """
    made = page(100, data_event(1, b"data"), word(29, 0), data_event(1, b"gone"))

    assert [Place(101, 20, 4)] == parse_page(made, LAYOUT)


def test_a_page_that_tells_of_losses_is_read():
    """
    The bits that say that events are missing are no part of the length.
    """
    assert 1 == len(parse_page(page(1, data_event(1, b"data"), missed=True), LAYOUT))


def test_a_length_that_is_no_whole_word_is_rounded_up():
    """
    The next event begins at a whole word.
    """
    odd = word(0, 1) + (4 + 115).to_bytes(4, "little") + bytes(116)

    found = parse_page(page(0, odd, data_event(1, b"data")), LAYOUT)

    assert [115, 4] == [place.length for place in found]


@given(some.binary(max_size=4096))
def test_damaged_bytes_are_an_error_or_events(raw):
    """
    Any bytes give events that lie within the page, or an error that says what is wrong.
    """
    with contextlib.suppress(KernelDataError):
        for place in parse_page(raw, LAYOUT):
            assert 16 <= place.offset <= place.offset + place.length <= len(raw)


@given(some.data())
def test_one_wrong_byte_is_an_error_or_events(data):
    """
    A recorded page with one byte changed never leads outside of the page.
    """
    raw = bytearray(page_of("failures"))
    raw[data.draw(some.integers(0, len(raw) - 1))] = data.draw(some.integers(0, 255))
    decoders = recorded_decoders(FAILURES)

    with contextlib.suppress(KernelDataError):
        for place in parse_page(bytes(raw), LAYOUT):
            decoders.decode(bytes(raw), place)


DAMAGED = [
    pytest.param(b"", "head", id="nothing"),
    pytest.param(bytes(15), "head", id="half a head"),
    pytest.param(bytes(8) + (5000).to_bytes(8, "little") + bytes(4080), "5016", id="too long"),
    pytest.param(page(0, word(28, 1)), "beyond", id="event beyond the end"),
    pytest.param(page(0, b"ab"), "cut off", id="half a word"),
    pytest.param(page(0, word(30, 1)), "cut off", id="half a pause"),
    pytest.param(page(0, word(0, 1) + bytes(4)), "length 0", id="length of nothing"),
]


@pytest.mark.parametrize(("raw", "told"), DAMAGED)
def test_a_page_that_contradicts_itself_is_refused(raw, told):
    """
    The error says what is wrong, and quotes the begin of the page.
    """
    with pytest.raises(KernelDataError, match=told):
        parse_page(raw, LAYOUT)


def test_a_recorded_page_of_failures_tells_them():
    """
    Three failed searches and the ends of their calls, a bind, and a clash.
    """
    raw, decoders = page_of("failures"), recorded_decoders(FAILURES)

    events = [decoders.decode(raw, place) for place in parse_page(raw, LAYOUT)]

    assert [
        (StateChange, 2),
        (CallExit, "connect", 99),
        (StateChange, 10),
        (CallExit, "connect", 99),
        (StateChange, 10),
        (CallExit, "connect", 99),
        (CallExit, "bind", 98),
        (CallExit, "connect", 99),
    ] == [
        (type(event), event.family)
        if isinstance(event, StateChange)
        else (type(event), event.operation, event.errno)
        for event in events
    ]
    assert sorted(event.at_ns for event in events) == [event.at_ns for event in events]
    assert 200_000_000 < events[6].at_ns - events[5].at_ns < 300_000_000
    assert {(0, 9000)} == {
        (event.local_port, event.remote_port) for event in events if isinstance(event, StateChange)
    }


def test_a_recorded_page_of_what_came_before_ends_with_the_clash():
    """
    Sockets, binds and connects, and at the end the change of state with its port.
    """
    raw, decoders = page_of("before"), recorded_decoders(BEFORE)

    events = [decoders.decode(raw, place) for place in parse_page(raw, LAYOUT)]

    assert 53 == len(events)
    assert (30000, 9000, bytes((127, 0, 0, 1))) == events[-1][4:7]
    assert {"bind", "connect"} == {event.operation for event in events if len(event) == 6}


def test_a_layout_of_another_make_is_refused():
    """
    Bits and kinds that differ are an error: nothing could be read by them.
    """
    head, event = text_of("header_page"), text_of("header_event")

    with pytest.raises(KernelDataError, match="5 and 27 bits"):
        parse_kinds(event.replace("27 bits", "28 bits"))
    with pytest.raises(KernelDataError, match="time_extend"):
        parse_kinds(event.replace("time_extend", "something"))
    with pytest.raises(KernelDataError, match="'data'"):
        parse_layout(head.replace("data", "else"), event)
    with pytest.raises(KernelDataError, match="'commit'"):
        parse_layout(head.replace("commit", "else"), event)
