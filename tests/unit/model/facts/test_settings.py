"""The table of settings is whole, and a person's word finds its row."""

import pytest

from portroom.errors import InvalidRequestError
from portroom.model.facts.ports import PortRange, PortSet
from portroom.model.facts.settings import SETTINGS, Scope, ValueType, setting_named

ROWS = pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)

DEFAULT_TYPES = {
    ValueType.RANGE: PortRange,
    ValueType.PORTS: PortSet,
    ValueType.NUMBER: int,
}


def test_no_word_means_two_settings():
    """
    Names, keys and last parts of keys are distinct across rows.
    """
    words = [{row.name, row.key, row.key.rpartition(".")[2]} for row in SETTINGS]

    assert sum(map(len, words)) == len(set().union(*words))


@ROWS
def test_each_row_says_what_it_does_and_what_not(row):
    """
    Meaning and its opposite are sentences.
    """
    assert row.meaning.endswith(".")
    assert row.does_not.endswith(".")


@ROWS
def test_each_default_is_of_its_type_and_within_bounds(row):
    """
    A default is a value that the kernel itself would take.
    """
    if row.default is None:
        return

    assert isinstance(row.default, DEFAULT_TYPES[row.type])
    if row.type is ValueType.NUMBER:
        assert row.lowest is None or row.lowest <= row.default
        assert row.highest is None or row.default <= row.highest


@ROWS
def test_each_row_is_found_by_every_word_for_it(row):
    """
    The name, the key with dots or slashes, and its last part mean the row.
    """
    words = (row.name, row.key, row.key.replace(".", "/"), row.key.rpartition(".")[2])

    assert [row] * 4 == [setting_named(word) for word in words]


def test_what_portroom_may_change_is_of_one_namespace():
    """
    Nothing that reaches the whole system is changed.
    """
    assert {Scope.NAMESPACE} == {row.scope for row in SETTINGS if row.writable}


def test_the_fingerprint_of_a_full_key():
    """
    The default range holds 28,232 ports, both ends included.
    """
    assert 28_232 == setting_named("range").default.ports


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("rnage", "range"),
        ("tcp_tw_resue", "tcp_tw_reuse"),
        ("net.ipv4.ip_local_port_rang", "net.ipv4.ip_local_port_range"),
        ("ip_local_port_rangee", "range"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(word, nearest):
    """
    The error quotes the word and suggests the name that was meant.
    """
    with pytest.raises(InvalidRequestError) as caught:
        setting_named(word)

    assert f"There is no setting {word!r}. Did you mean {nearest!r}?" == str(caught.value)


def test_a_word_like_nothing_is_answered_with_all_names():
    """
    Where nothing is near, the error lists what there is.
    """
    with pytest.raises(InvalidRequestError, match=r"Known are range, reserved, .*nr_open\."):
        setting_named("zzzzzz")
