"""What follows from what a kernel answered, by the table of features."""

import re

import msgspec
import pytest

from portroom.errors import InvalidRequestError
from portroom.model.facts.features import SAID, Asked
from portroom.model.facts.snapshot import Features
from portroom.model.laws.feature_table import FEATURES, TOPICS
from portroom.model.laws.features import (
    IN_SNAPSHOT,
    NOT_ASKED_THEN,
    feature_named,
    saved_features,
    told,
)

NAMES = [row.name for row in FEATURES]


@pytest.mark.parametrize("row", FEATURES, ids=NAMES)
def test_each_answer_has_words_of_its_own(row):
    """Yes, no and unknown say what follows, as sentences; how follows "found out"."""
    follows = [told(row, Asked(holds)).consequence for holds in (True, False, None)]

    assert [row.yes, row.no, row.unknown] == follows
    assert all(re.fullmatch(r"[A-Z`].*\.", text) for text in follows)
    assert row.how.startswith(("by ", "in "))
    assert not row.title.endswith(".")
    assert row.topic in TOPICS


def test_a_name_stands_for_one_feature():
    """No two rows are called alike, and each is found by its name."""
    assert len(set(NAMES)) == len(NAMES)
    assert list(FEATURES) == [feature_named(name) for name in NAMES]


def test_rows_of_one_topic_stand_together():
    """The order of the table is the order of the topics."""
    places = [TOPICS.index(row.topic) for row in FEATURES]

    assert sorted(places) == places


def test_what_a_snapshot_holds_is_in_the_table():
    """Each of its fields is a feature: what the laws use is told too."""
    assert set(Features.__struct_fields__) <= set(NAMES)


def test_a_snapshot_answers_what_it_holds():
    """What was known then is told, what was not says so, and what it never holds as well."""
    features = Features(bucket_forgets=False, range_option=True)

    found = saved_features(features)

    assert set(NAMES) == set(found)
    assert Asked(False) == found["bucket_forgets"]
    assert Asked(True) == found["range_option"]
    assert Asked(None, NOT_ASKED_THEN) == found["tw_reuse_by_age"]
    held = msgspec.structs.asdict(features)
    assert {Asked(None, IN_SNAPSHOT)} == {found[name] for name in NAMES if name not in held}


@pytest.mark.parametrize("holds", [True, False, None])
def test_an_answer_is_one_of_three_words(holds):
    """What was seen beside stays with it."""
    one = told(FEATURES[0], Asked(holds, "seen"))

    assert one.answer in SAID
    assert "seen" == one.detail


@pytest.mark.parametrize(
    ("word", "hint"), [("bucket_forget", "Did you mean 'bucket_forgets'?"), ("?", "Known are ")]
)
def test_a_name_that_is_none_is_refused(word, hint):
    """The nearest name is told, or all."""
    with pytest.raises(InvalidRequestError) as caught:
        feature_named(word)

    assert caught.value.hint.startswith(hint)
