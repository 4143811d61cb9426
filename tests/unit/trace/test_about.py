"""Prove what is told of a call by what its thread did before and since."""

import pytest

from portroom.trace.about import About, find_about, put_together
from portroom.trace.events import Born, CallEnter, CallExit, SocketEnter, SocketExit, StateChange
from portroom.trace.memory import UNTOLD, Told
from portroom.trace.recorder import KEPT_EVENTS, KEPT_NS, Recorder
from portroom.trace.ring import Drained
from portroom.trace.teller import was_told

CALL = CallExit(100, 7, 98, "bind")
BEGIN = CallEnter(90, 7, 5, 0x1000, 16, "bind")
MADE = [SocketEnter(80, 7, 10, 1, 0), SocketExit(81, 7, 5)]


class Batches:
    """
    A ring that gives one list of events after the other.
    """

    def __init__(self, *batches, complete_ns=1 << 64):
        self._batches = list(batches)
        self._complete_ns = complete_ns

    def drain(self):
        """
        Return the next events.
        """
        return Drained(self._batches.pop(0) if self._batches else [], self._complete_ns)


def recorder_of(*events, later=()):
    """
    Return a recorder that has seen some events, and will see others.
    """
    recorder = Recorder(Batches(sorted(events, key=lambda event: event.at_ns), list(later)))
    recorder.look()
    recorder.look()
    return recorder


def change(at_ns: int, flags: int = 0) -> StateChange:
    """Return a change of state with a local port."""
    address = bytes((127, 0, 0, 1))
    return StateChange(at_ns, 7, flags, 2, 30000, 9000, address, address, bytes(16), bytes(16))


def test_a_call_begins_with_the_last_one_before_its_end():
    """
    Neither an earlier call, nor one after it, nor one of another thread.
    """
    others = [
        BEGIN._replace(at_ns=50),
        BEGIN._replace(at_ns=101),
        BEGIN._replace(at_ns=95, tid=8),
    ]

    assert recorder_of(BEGIN, *others).begin_of(CALL) == BEGIN


def test_what_came_while_it_was_read_waits_for_what_was_before():
    """
    A thread that moves is first on a processor that was read before it failed there.
    """
    later = BEGIN._replace(at_ns=99, descriptor=6)
    recorder = Recorder(Batches([later], [BEGIN], complete_ns=95))
    recorder.look()
    assert recorder.begin_of(CALL) is None
    recorder.look()

    assert recorder.begin_of(CALL) == BEGIN


def test_another_operation_is_not_its_begin():
    """
    Where the begin was overwritten, a connect before is none of a bind.
    """
    assert recorder_of(BEGIN._replace(operation="connect")).begin_of(CALL) is None
    assert recorder_of().begin_of(CALL) is None


def test_a_clash_happens_during_the_call():
    """
    A change of state before it is another connection's, and so is one of an interrupt.
    """
    connect = BEGIN._replace(operation="connect")
    call = CALL._replace(operation="connect", errno=99)

    assert recorder_of(connect, change(95)).clash_of(call) == change(95)
    assert recorder_of(change(85), connect).clash_of(call) is None
    assert recorder_of(connect, change(95, flags=0x10)).clash_of(call) is None


def test_a_socket_is_the_last_one_made_with_that_number():
    """
    What the thread did with other numbers in between does not matter.
    """
    older = [SocketEnter(10, 7, 2, 2, 0), SocketExit(11, 7, 5)]
    other = [SocketEnter(82, 7, 1, 1, 0), SocketExit(83, 7, 6)]

    assert recorder_of(*older, *MADE, *other, BEGIN).socket_of(BEGIN) == MADE[0]
    assert recorder_of(*other, BEGIN).socket_of(BEGIN) is None
    assert recorder_of(MADE[1], BEGIN).socket_of(BEGIN) is None


def test_use_since_is_seen():
    """
    An address that overlaps, and a socket of the same number.
    """
    recorder = recorder_of(
        BEGIN,
        BEGIN._replace(at_ns=110, address=0x1010),
        SocketEnter(120, 7, 2, 1, 0),
        SocketExit(121, 7, 5),
    )

    assert recorder.has_reused_memory(BEGIN)
    assert recorder.has_reused_descriptor(BEGIN)
    assert not recorder.has_reused_memory(BEGIN._replace(address=0x2000))
    assert not recorder.has_reused_descriptor(BEGIN._replace(descriptor=6))
    assert not recorder_of(BEGIN, *MADE).has_reused_memory(BEGIN)


def test_threads_are_forgotten_but_for_their_last_events():
    """
    What came after the last call that was asked about stays, and a little before it.
    """
    begins = [BEGIN._replace(at_ns=at) for at in range(100)]
    recorder = recorder_of(*begins)
    recorder.forget(49)

    assert recorder.begin_of(CALL) == begins[-1]
    assert recorder.begin_of(CALL._replace(at_ns=50)) == begins[49]
    assert recorder.begin_of(CALL._replace(at_ns=50 - KEPT_EVENTS + 1)) == begins[50 - KEPT_EVENTS]
    assert recorder.begin_of(CALL._replace(at_ns=50 - KEPT_EVENTS)) is None


def test_births_are_remembered():
    """
    Who made a thread last, before it did something.
    """
    born = Born(50, 7, 8, 0x10000)
    recorder = recorder_of(born, Born(200, 9, 8, 0))

    assert born.is_thread
    assert recorder.birth_of(8, 150) is None
    assert recorder.birth_of(8, 250).tid == 9
    assert recorder.birth_of(6, 250) is None


def test_a_socket_is_remembered_while_its_thread_makes_others():
    """
    A program may make its sockets first, and bind them later.
    """
    recorder = recorder_of(*MADE, BEGIN)
    recorder.forget(95)

    assert recorder.socket_of(BEGIN._replace(at_ns=96)) == MADE[0]


def test_threads_that_do_nothing_are_forgotten():
    """
    Nothing grows with the number of threads there ever were.
    """
    recorder = recorder_of(BEGIN)
    recorder.forget(BEGIN.at_ns + KEPT_NS)

    assert recorder.begin_of(CALL) is None


def test_a_process_that_is_gone_is_told_by_its_socket():
    """
    No memory is left, but how the socket was made is known.
    """
    recorder = Recorder(Batches([*MADE, BEGIN._replace(at_ns=10**18)]))
    call = CALL._replace(at_ns=2 * 10**18)

    (about,) = find_about([(call, None)], recorder)

    assert About(BEGIN._replace(at_ns=10**18), Told(10, "tcp")) == about


def test_without_a_begin_nothing_is_told():
    """
    What was overwritten is not guessed.
    """
    assert [About()] == find_about([(CALL, None)], Recorder(Batches()))


SURE, MEMORY = Told(2, "udp"), Told(2, None, ("127.0.0.1", 53))
OTHER = Told(10, None, ("::1", 53))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (put_together(SURE, UNTOLD, MEMORY), Told(2, "udp", ("127.0.0.1", 53))),
        (put_together(SURE, SURE, MEMORY), Told(2, "udp", ("127.0.0.1", 53))),
        (put_together(SURE, UNTOLD, OTHER), SURE),
        (put_together(SURE, UNTOLD, UNTOLD), SURE),
        (put_together(SURE, Told(10, "udp"), MEMORY), UNTOLD),
        (put_together(UNTOLD, SURE, MEMORY), Told(2, "udp", ("127.0.0.1", 53))),
        (put_together(UNTOLD, SURE, OTHER), UNTOLD),
        (put_together(UNTOLD, UNTOLD, MEMORY), MEMORY),
        (put_together(UNTOLD, SURE, UNTOLD), SURE),
        (put_together(UNTOLD, Told(0), OTHER), UNTOLD),
        (put_together(UNTOLD, UNTOLD, UNTOLD), UNTOLD),
    ],
)
def test_what_is_sure_holds(told, expected):
    """
    Two sources that tell different families are believed only if one of them is sure.
    """
    assert expected == told


def test_a_call_that_began_before_its_search_was_told():
    """
    Its end is no second failure; that of a later call is one.
    """
    from portroom.trace.pairing import Pair

    connect = BEGIN._replace(operation="connect")
    pair = Pair(CALL._replace(operation="connect", errno=99), None, change(95))

    assert was_told(pair, connect)
    assert not was_told(pair, connect._replace(at_ns=97))
    assert was_told(pair, None)
    assert not was_told(pair._replace(alone=None), connect)
