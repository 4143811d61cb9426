"""Prove that who failed is told by the name it had when it failed."""

import pytest

from portroom.trace.events import NAMES, Renamed
from portroom.trace.renames import KEPT_NS, Renames
from portroom.trace.ring import Drained
from tests.unit.made_failures import process
from tests.unit.trace.made_pages import recorded_decoders

NOW_NS = 10**12
READ_NS = NOW_NS - 500

SHELL, SLEEP = (
    Renamed(NOW_NS - 1000, 7, "bash", "sh"),
    Renamed(NOW_NS - 100, 7, "sh", "sleep"),
)


class Once:
    """
    A ring that gives its events once.
    """

    def __init__(self, *events):
        self._events = list(events)

    def drain(self):
        """
        Return what is there.
        """
        events, self._events = self._events, []
        return Drained(events, 0)


def renames_of(*events):
    """
    Return what was told of names.
    """
    made = Renames(Once(*events))
    made.look(NOW_NS)
    return made


@pytest.mark.parametrize(
    ("at_ns", "read_at_ns", "expected"),
    [
        (NOW_NS - 2000, NOW_NS, "bash"),
        (NOW_NS - 500, NOW_NS, "sh"),
        (NOW_NS - 50, NOW_NS, "read"),
        (NOW_NS - 50, NOW_NS - 500, "sleep"),
        (NOW_NS - 50, NOW_NS - 2000, "sleep"),
        (NOW_NS - 500, NOW_NS - 2000, "sh"),
    ],
)
def test_the_name_is_that_of_the_failure(at_ns, read_at_ns, expected):
    """
    Whether the process was read before it was renamed, or after it.
    """
    seen = process(pid=7, tid=9, command="read")

    assert expected == renames_of(SHELL, SLEEP).as_named(seen, at_ns, read_at_ns).command


def test_a_process_that_is_gone_is_known_by_its_thread():
    """
    And others keep the name that they have.
    """
    renames = renames_of(SLEEP)
    at_ns = NOW_NS - 500

    assert "sh" == renames.as_named(process(pid=None, tid=7, command=None), at_ns, NOW_NS).command
    assert "gunicorn" == renames.as_named(process(pid=8, tid=7), at_ns, NOW_NS).command


def test_names_of_long_ago_are_forgotten():
    """
    Nothing grows with the number of programs there ever were.
    """
    renames = renames_of(SHELL, SLEEP)
    renames.look(NOW_NS + KEPT_NS)

    assert {} == renames._renamed


def test_without_a_buffer_names_are_as_they_are():
    """
    A kernel may not tell of them.
    """
    renames = Renames(None)
    renames.look(NOW_NS)

    assert process() == renames.as_named(process(), 0, NOW_NS)


def test_a_recorded_description_is_read():
    """
    The names end at their first zero; what is no UTF-8 stays visible.
    """
    decoders = recorded_decoders(NAMES)
    (decoder,) = decoders.by_number.values()
    raw = bytes(8) + (7).to_bytes(4, "little") + b"a\xff\0left".ljust(16, b"\0") + b"n" * 16

    assert Renamed(5, 7, "a\\xff", "n" * 16) == decoder.make(5, decoder.read(raw, 0))
