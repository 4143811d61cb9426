"""To whom TIME_WAITs are charged, and how sure that is."""

from __future__ import annotations

from array import array
from collections import Counter

from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.sample import INFERRED, SEEN, UNKNOWN
from portroom.model.facts.sockets import Owner
from portroom.model.laws.charges import MOST_CHARGES, Ended, charges, sort_ended
from portroom.model.laws.owner_memory import Lookup, Remembered, lookup

WEB = Owner(1, 100, "web", 33, "web.service", None)
CRON = Owner(2, 200, "cron", 0, "cron.service", None)
PEOPLE = {1: WEB, 2: CRON}


def known(ended: dict[int, int], alive: dict[int, int] | None = None) -> Lookup:
    """Return what is remembered: owners by port, of ended and of alive connections."""
    every = [(port, owner, 1) for port, owner in ended.items()]
    every += [(port, owner, 0) for port, owner in (alive or {}).items()]
    columns = Remembered(
        array("H", [port for port, _, _ in every]),
        array("Q", range(len(every))),
        array("H", [owner for _, owner, _ in every]),
        bytearray(is_ended for _, _, is_ended in every),
    )
    return lookup(columns)


def told(ended: Ended, here=()) -> list[tuple[str | None, int, str]]:
    """Return charges in short: command, sockets, certainty."""
    found = charges(ended, PEOPLE, here)
    return [(one.owner and one.owner.command, one.sockets, one.certainty) for one in found]


def test_what_was_remembered_as_ended_is_seen():
    """Looked at in the same moment: each port is the one that was there."""
    ended = sort_ended([([40_000, 40_001], [100, 200])], known({40_000: 1}), 0.0)

    assert Ended(Counter({1: 1}), Counter(), 1) == ended


def test_what_ended_after_the_look_is_guessed_by_its_port():
    """It is 5 s old and somebody looked 10 s ago, when the port was in use."""
    ended = sort_ended([([40_000], [55_000])], known({}, {40_000: 1}), 10_000.0)

    assert Ended(Counter(), Counter({1: 1}), 0) == ended


def test_what_ended_before_the_look_is_seen_for_ever():
    """It is 30 s old and somebody looked 10 s ago, when it waited already."""
    ended = sort_ended([([40_000], [30_000])], known({40_000: 1}), 10_000.0)

    assert Ended(Counter({1: 1}), Counter(), 0) == ended


def test_a_young_time_wait_on_the_port_of_an_old_one_is_not_that_one():
    """The old one was in TIME_WAIT when somebody looked; this one came after."""
    ended = sort_ended([([40_000], [59_000])], known({40_000: 1}), 10_000.0)

    assert Ended(Counter(), Counter(), 1) == ended


def test_an_old_time_wait_on_the_port_of_a_live_connection_is_a_guess():
    """No port can have both; whatever was read, it is not asserted."""
    ended = sort_ended([([40_000], [30_000])], known({}, {40_000: 1}), 10_000.0)

    assert Ended(Counter(), Counter({1: 1}), 0) == ended


def test_without_ages_nothing_is_seen_later():
    """Which of both it is nobody can tell."""
    ended = sort_ended([([40_000], ())], known({}, {40_000: 1}), 10_000.0)

    assert Ended(Counter(), Counter({1: 1}), 0) == ended


def test_the_rest_is_inferred_from_those_whose_share_is_known():
    """Three of four were web's: of eight more six are taken to be, two cron's."""
    ended = Ended(Counter({1: 3}), Counter({2: 1}), 8)

    assert [("web", 6, INFERRED), ("web", 3, SEEN), ("cron", 3, INFERRED)] == told(ended)


def test_the_only_one_on_a_key_is_taken_for_the_one():
    """Nobody else was seen there; but it is inferred, not seen."""
    alone = Ended(Counter(), Counter(), 9)

    assert [("web", 9, INFERRED)] == told(alone, here=[1])
    # With when each was seen last, as it is remembered: the count stays a whole number.
    (charge,) = charges(alone, PEOPLE, {1: 66420.5})
    assert (9, int) == (charge.sockets, type(charge.sockets))


def test_of_two_on_a_key_nobody_is_taken():
    """Either may have been it."""
    assert [(None, 9, UNKNOWN)] == told(Ended(Counter(), Counter(), 9), here=[1, 2])


def test_where_nobody_was_seen_it_is_unknown():
    """Not even inferred."""
    assert [(None, 9, UNKNOWN)] == told(Ended(Counter(), Counter(), 9))


def test_many_processes_of_one_program_are_charged_as_one():
    """Named by the youngest of them, as its unit."""
    people = {number: Owner(number, number, "php", 33, "php.service", None) for number in range(50)}
    ended = Ended(Counter(dict.fromkeys(range(1, 50), 2)), Counter(), 0)

    (only,) = charges(ended, people, ())

    assert (98, 49, SEEN) == (only.sockets, only.owner.pid, only.certainty)


def test_too_many_programs_are_cut():
    """The least are told together, as of nobody."""
    people = {number: Owner(number, 1, f"p{number}", 0, None, None) for number in range(1, 50)}
    ended = Ended(Counter({number: number for number in people}), Counter(), 0)

    found = charges(ended, people, ())

    assert MOST_CHARGES + 1 == len(found)
    assert (None, UNKNOWN) == (found[-1].owner, found[-1].certainty)
    assert sum(people) == sum(one.sockets for one in found)


COUNTS = some.dictionaries(some.integers(1, 4), some.integers(1, 99), max_size=4).map(Counter)


@given(COUNTS, COUNTS, some.integers(0, 500), some.sets(some.integers(1, 4)))
def test_every_time_wait_is_charged_once(seen, guessed, rest, here):
    """Charges add up; and as seen are told those that were, and no others."""
    found = charges(Ended(seen, guessed, rest), PEOPLE | {3: WEB, 4: CRON}, here)

    assert seen.total() + guessed.total() + rest == sum(one.sockets for one in found)
    assert seen.total() == sum(one.sockets for one in found if one.certainty == SEEN)
    assert all((one.owner is None) == (one.certainty == UNKNOWN) for one in found)


PORTS = some.lists(some.integers(40_000, 40_009), max_size=10, unique=True)


@given(PORTS, some.data(), some.floats(-10, 70_000))
def test_every_time_wait_is_sorted_once(ports, data, ago_ms):
    """Seen, guessed, or neither: whatever is remembered."""
    times = data.draw(
        some.lists(some.integers(0, 60_000), min_size=len(ports), max_size=len(ports))
    )
    owners = some.dictionaries(some.integers(40_000, 40_009), some.integers(1, 2))
    memory = known(data.draw(owners), data.draw(owners))

    ended = sort_ended([(ports, times)], memory, ago_ms)

    assert len(ports) == ended.seen.total() + ended.guessed.total() + ended.rest
