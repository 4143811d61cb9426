"""However many labels a host goes through, few distinct ones are told a day."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from portroom.model.facts.sample import Instant
from portroom.model.laws.told_labels import DAY_S, Told, told
from tests.unit.made_watched import AT

MOST = 3


@given(
    steps=some.lists(
        some.tuples(
            some.floats(0, 40_000), some.lists(some.integers(0, 9).map(lambda n: (str(n),)))
        ),
        max_size=40,
    )
)
def test_within_any_day_few_distinct_labels_are_told(steps):
    """Whatever comes, in whatever order: in each 24 hours at most as many as there are places."""
    seen, now_s, spoken = Told(), 0.0, []
    for wait_s, labels in steps:
        now_s += wait_s
        seen = told(seen, labels, Instant("boot", now_s, AT), MOST)
        spoken += [(now_s, label) for label in labels if label in seen.labels]

        assert len(seen.labels) <= MOST
        assert len({label for at, label in spoken if now_s - at <= DAY_S}) <= MOST


def test_a_label_that_is_told_keeps_its_place():
    """As long as it comes back within a day, no other one takes it."""
    seen = Told()
    for hour in range(100):
        seen = told(seen, [("b",), ("a",)][: 1 + hour % 2], Instant("x", 3600.0 * hour, AT), 1)

    assert {("b",)} == set(seen.labels)


def test_another_boot_begins_anew():
    """Uptimes of two boots have nothing to do with each other."""
    first = told(Told(), [("a",)], Instant("one", 90_000.0, AT), 1)

    assert {("b",): 5.0} == told(first, [("b",)], Instant("two", 5.0, AT), 1).labels
