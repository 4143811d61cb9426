"""Prove which change of state goes with which call."""

from hypothesis import given
from hypothesis import strategies as some

from portroom.trace.events import CallExit, StateChange
from portroom.trace.pairing import MEMORY_NS, PATIENCE_NS, Pair, Pairing


def state(at_ns: int, tid: int = 1) -> StateChange:
    """Return a failed search of a thread."""
    address = bytes((127, 0, 0, 1))
    return StateChange(at_ns, tid, 0, 2, 0, 9000, address, address, bytes(16), bytes(16))


def end(at_ns: int, tid: int = 1, errno: int = 99, operation: str = "connect") -> CallExit:
    """Return the end of a call that failed."""
    return CallExit(at_ns, tid, errno, operation)


def test_a_search_goes_with_the_end_of_its_call():
    """
    Both events of one thread are one failure, at the time of the search.
    """
    (pair,) = Pairing().feed([state(10), end(12)], 20)

    assert Pair(end(12), state(10)) == pair
    assert (10, 1) == (pair.at_ns, pair.tid)


def test_the_order_of_reading_does_not_matter():
    """
    A thread that changed processors has its events in two buffers.
    """
    assert [Pair(end(12), state(10))] == Pairing().feed([end(12), state(10)], 20)


def test_at_the_same_time_the_search_came_first():
    """
    A coarse clock gives both events one time.
    """
    assert [Pair(end(10), state(10))] == Pairing().feed([end(10), state(10)], 10)


def test_what_is_later_than_all_that_was_read_waits():
    """
    The end of a call is not judged while its search may still be unread.
    """
    pairing = Pairing()

    assert [] == pairing.feed([end(12)], 11)
    assert pairing.waiting
    assert [Pair(end(12), state(10))] == pairing.feed([state(10)], 30)
    assert not pairing.waiting


def test_an_end_without_a_search_is_a_failure_of_its_own():
    """
    A clash, and no source address, have no search.
    """
    assert [Pair(end(12), None)] == Pairing().feed([end(12)], 20)


def test_another_thread_is_no_partner():
    """
    Two threads that fail at once have two failures.
    """
    pairs = Pairing().feed([state(10, 1), state(11, 2), end(12, 2), end(13, 1)], 20)

    assert [(10, 1, 1), (11, 2, 2)] == [
        (pair.at_ns, pair.call.tid, pair.state.tid) for pair in pairs
    ]


def test_other_failures_take_no_search():
    """
    EAGAIN and failed binds are none of a search that waits.
    """
    pairing = Pairing()
    others = [end(11, errno=11), end(12, errno=99, operation="bind"), end(13, errno=98)]

    assert [Pair(other, None) for other in others] == pairing.feed([state(10), *others], 20)
    assert [Pair(end(30), state(10))] == pairing.feed([end(30)], 40)


def test_a_search_without_an_end_stands_alone_in_time():
    """
    It waits as long as a thread may be kept from its processor, and is told then.
    """
    pairing = Pairing()

    assert [] == pairing.feed([state(10)], PATIENCE_NS)
    assert [Pair(None, state(10))] == pairing.feed([], PATIENCE_NS + 10)


def test_a_thread_that_searches_again_gives_up_its_last_search():
    """
    Several connects of one ring of io_uring fail in one thread without a call.
    """
    pairing = Pairing()

    assert [Pair(None, state(10))] == pairing.feed([state(10), state(20)], 30)
    assert [Pair(None, state(20))] == pairing.rest()


def test_the_end_that_comes_late_names_the_search_that_was_told():
    """
    Who tells it can see that this failure was told already.
    """
    pairing = Pairing()
    pairing.feed([state(10)], PATIENCE_NS + 10)

    assert [Pair(end(10**9), None, state(10))] == pairing.feed([end(10**9)], 2 * 10**9)
    assert [Pair(end(10**9 + 1), None)] == pairing.feed([end(10**9 + 1)], 2 * 10**9)


def test_a_search_is_not_remembered_for_ever():
    """
    Nothing grows with the number of threads there ever were.
    """
    pairing = Pairing()
    pairing.feed([state(10)], PATIENCE_NS + 10)
    pairing.feed([], MEMORY_NS + 10)

    assert [Pair(end(MEMORY_NS + 11), None)] == pairing.feed([end(MEMORY_NS + 11)], MEMORY_NS * 2)
    assert not pairing.waiting


@given(
    some.lists(some.tuples(some.integers(1, 4), some.sampled_from(["both", "alone", "end"]))),
    some.data(),
)
def test_nothing_is_told_twice_and_nothing_is_lost(happened, data):
    """
    However events are cut into batches, each failure is told once.
    """
    events, at_ns = [], 0
    for tid, what in happened:
        at_ns += 10
        events += [state(at_ns, tid)] * (what != "end") + [end(at_ns + 5, tid)] * (what != "alone")
    pairing, pairs = Pairing(), []
    while events:
        until = data.draw(some.integers(1, len(events)))
        pairs += pairing.feed(events[:until], events[until - 1].at_ns)
        del events[:until]

    pairs += pairing.rest()

    # The end of a call takes the search of its thread that waits, whosever it was.
    searches = sum(pair.state is not None for pair in pairs)
    assert sum(what != "end" for _, what in happened) == searches
    assert sum(what != "alone" for _, what in happened) == sum(
        pair.call is not None for pair in pairs
    )
    assert [] == pairing.rest()
