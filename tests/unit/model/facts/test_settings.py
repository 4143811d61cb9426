"""The table of settings is whole, and a person's word finds its row."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import InvalidRequestError
from portroom.model.facts.ports import LAST_PORT, PortRange, PortSet
from portroom.model.facts.settings import (
    SETTINGS,
    Scope,
    ValueType,
    kernel_text,
    parse_value,
    setting_named,
)

ROWS = pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)

DEFAULT_TYPES = {
    ValueType.RANGE: PortRange,
    ValueType.PORTS: PortSet,
    ValueType.NUMBER: int,
}


def test_no_word_means_two_settings():
    """
    Names, aliases, keys and last parts of keys are distinct across rows.
    """
    words = [set(row.words) for row in SETTINGS]

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
    The name, the aliases, the key with dots or slashes, and its last part mean the row.
    """
    words = {row.name, row.key, row.key.rpartition(".")[2], row.key.replace(".", "/"), *row.aliases}

    assert {row} == {setting_named(word) for word in words}


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


def test_only_the_settings_that_may_be_meant_are_found_and_suggested():
    """
    Where few settings may be meant, no other one is, nor is it offered.
    """
    with pytest.raises(InvalidRequestError) as caught:
        setting_named("fil_max", SETTINGS[:2])

    assert "There is no setting 'fil_max'. Known are range, reserved." == str(caught.value)


def test_a_word_like_nothing_is_answered_with_all_names():
    """
    Where nothing is near, the error lists what there is.
    """
    with pytest.raises(InvalidRequestError, match=r"Known are range, reserved, .*nr_open\."):
        setting_named("zzzzzz")


@given(some.tuples(some.integers(1, LAST_PORT), some.integers(1, LAST_PORT)))
def test_a_range_survives_its_kernel_form(ports):
    """
    Parsing what the kernel prints of a range gives that range.
    """
    first, last = sorted(ports)

    assert PortRange(first, last) == parse_value(ValueType.RANGE, f"{first}\t{last}\n")


@given(some.sets(some.integers(0, LAST_PORT), max_size=50))
def test_a_set_of_ports_survives_its_kernel_form(ports):
    """
    Parsing what the kernel prints of a set of ports gives that set.
    """
    reserved = PortSet.of(ports)

    assert reserved == parse_value(ValueType.PORTS, f"{reserved}\n")


@ROWS
def test_a_value_survives_its_canonical_text(row):
    """
    What is saved or compared as text is the same value again.
    """
    if row.default is not None:
        assert row.default == parse_value(row.type, kernel_text(row.default))


@given(some.integers(-(2**31), 2**63 - 1))
def test_a_number_survives_its_kernel_form(number):
    """
    Parsing what the kernel prints of a number gives that number.
    """
    assert number == parse_value(ValueType.NUMBER, f"{number}\n")


NO_VALUES = {
    ValueType.RANGE: [
        "",
        "\n",
        "32768\n",
        "1\t2\t3\n",
        "a\tb\n",
        "60999\t32768\n",
        "0\t5\n",
        "1\t65536",
    ],
    ValueType.PORTS: ["1-", "70000", "5-4", "a", "1 2"],
    ValueType.NUMBER: ["", "\n", "1 2\n", "0x1\n", "yes\n"],
}
SAID = {
    ValueType.RANGE: "expected two ports, got ",
    ValueType.PORTS: "no port and no run of ports: ",
    ValueType.NUMBER: "expected a number, got ",
}


@pytest.mark.parametrize(("of", "text"), [(of, text) for of in NO_VALUES for text in NO_VALUES[of]])
def test_what_is_no_value_is_quoted(of, text):
    """
    A text of another type is an error that says what was expected and quotes it.
    """
    with pytest.raises(ValueError, match=re.escape(SAID[of] + repr(text))):
        parse_value(of, text)
