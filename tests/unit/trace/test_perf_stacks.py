"""Prove which address is told of which call, from the stacks that were copied."""

import pytest

from portroom.trace.events import CallEnter, CallExit
from portroom.trace.perf_samples import Sample
from portroom.trace.perf_stacks import APART_NS, CALLS, Span, Stacks
from tests.unit.trace.made_pages import recorded_decoders
from tests.unit.trace.made_samples import EXIT, EXIT_TID

CALL = CallExit(1000, EXIT_TID, 98, "bind")
BEGIN = CallEnter(900, EXIT_TID, 5, 0x7010, 16, "bind")
SPAN = Span(BEGIN, 1100)


class Batches:
    """
    A source that gives one list of samples after the other, the newest first.
    """

    def __init__(self, *batches):
        self._batches = list(batches)

    def read(self):
        """
        Return the next samples.
        """
        return self._batches.pop(0) if self._batches else []

    def close(self):
        """
        End.
        """
        self._batches = None


def sample(at_ns, fill, stack_at=0x7000):
    """
    Return the stack of a failed call, full of one letter.
    """
    return Sample(at_ns, EXIT, stack_at, fill * 64)


def span(at_ns):
    """
    Return a call that began then; the thread began another one 200 ns later.
    """
    return Span(BEGIN._replace(at_ns=at_ns), at_ns + 200)


def stacks_of(*samples):
    """
    Return stacks that were looked at.
    """
    stacks = Stacks(Batches(list(samples)), recorded_decoders(CALLS))
    stacks.look()
    return stacks


def test_the_address_is_what_lies_where_the_call_pointed_to():
    """
    So many bytes of the stack as the call said that it has.
    """
    stack = bytes(range(64))
    stacks = stacks_of(Sample(1001, EXIT, 0x7000, stack))

    assert stack[16:32] == stacks.address_of(CALL, SPAN)
    assert stack[16:44] == stacks.address_of(CALL, SPAN._replace(begin=BEGIN._replace(length=28)))


@pytest.mark.parametrize("address", [0x6FFF, 0x7031, 0x7040, 0x55000000, (1 << 64) - 1])
def test_an_address_that_is_not_in_the_stack_is_not_known(address):
    """
    Below it, beyond what was copied, and elsewhere.
    """
    span = SPAN._replace(begin=BEGIN._replace(address=address))

    assert stacks_of(sample(1001, b"a")).address_of(CALL, span) is None


def test_each_call_has_its_own_stack():
    """
    Also of a thread that fails again and again: the one that was copied next to its end.
    """
    stacks = stacks_of(sample(3002, b"c"), sample(2002, b"b"), sample(1002, b"a"))

    for at_ns, fill in (1000, b"a"), (2000, b"b"), (3000, b"c"), (2004, b"b"):
        assert fill * 16 == stacks.address_of(CALL._replace(at_ns=at_ns), span(at_ns - 100))


def test_a_stack_of_another_call_is_none_of_this_one():
    """
    Where its own was overwritten: what was copied before it began, or after the next
    one did, does not count; nor does one that was copied long after.
    """
    stacks = stacks_of(sample(890, b"a"), sample(1101, b"b"), sample(APART_NS + 1001, b"c"))
    late = stacks_of(sample(APART_NS + 1001, b"c"))

    assert stacks.address_of(CALL, SPAN) is None
    assert late.address_of(CALL, SPAN._replace(next_ns=1 << 64)) is None
    assert stacks_of().address_of(CALL, SPAN) is None


@pytest.mark.parametrize("other", [{"errno": 99}, {"operation": "connect"}, {"tid": 8}])
def test_a_stack_of_another_outcome_is_none_of_this_call(other):
    """
    Of another error, operation or thread.
    """
    assert stacks_of(sample(1001, b"a")).address_of(CALL._replace(**other), SPAN) is None


def test_what_was_told_is_forgotten():
    """
    And what came later is not.
    """
    stacks = stacks_of(sample(2001, b"b"), sample(1001, b"a"))
    stacks.forget(1500)

    assert stacks.address_of(CALL, SPAN) is None
    assert b"b" * 16 == stacks.address_of(CALL._replace(at_ns=2000), span(1900))


def test_an_event_that_is_not_ours_is_left_out():
    """
    Its number is another one.
    """
    stacks = stacks_of(Sample(1001, b"\xff\xff" + EXIT[2:], 0x7000, bytes(64)))

    assert stacks.address_of(CALL, SPAN) is None
