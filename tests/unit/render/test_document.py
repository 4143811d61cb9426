"""JSON is valid, says when in UTC, and acts on nothing that shows it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from portroom.render import document
from tests.unit.render import change_examples as made
from tests.unit.render import examples


def test_one_answer_is_one_object():
    """The header of every answer, instants in UTC, lists never null."""
    actual = json.loads(document.as_json(examples.headroom()))

    assert actual["schema_version"] == 1
    assert actual["taken_at"] == "2026-03-01T12:00:00Z"
    assert actual["gaps"] == []
    assert actual["netns"]["name"] == "host"
    assert [key["free_ports"] for key in actual["keys"]] == [
        key.free_ports for key in examples.KEYS
    ]


def test_all_namespaces_are_one_object():
    """At the top stand version, host, time, and the same objects as a list."""
    answers = [examples.status(), examples.status(where=examples.netns())]

    actual = json.loads(document.as_json_all(answers, "web1", examples.AT))

    assert list(actual) == ["schema_version", "host", "taken_at", "namespaces"]
    assert actual["namespaces"] == [json.loads(document.as_json(answer)) for answer in answers]


def test_json_lines_carry_the_header_on_each_line():
    """A line stands for itself: host, time, namespace, then the fields of its row."""
    answer = examples.headroom()

    lines = document.as_json_lines(answer, answer.keys).splitlines()

    first = json.loads(lines[0])
    assert len(lines) == len(answer.keys)
    assert first["host"] == "web1"
    assert first["netns"]["inode"] == examples.HOST.inode
    assert first["remote_address"] == answer.keys[0].remote_address


def test_no_name_stands_twice_in_a_line():
    """An entry of the journal has a version of its own; the line has that of the answer alone."""
    journal = made.journal(made.entry(steps=made.KEPT_PLAN.steps), made.UNDONE)
    lines = document.as_json_lines(journal, journal.entries).splitlines()
    names = [[name for name, _ in json.loads(line, object_pairs_hook=list)] for line in lines]

    assert [] == [one for one in names if len(one) != len(set(one))]
    entries = json.loads(document.as_json(journal))["entries"]
    assert entries == [
        {name: json.loads(line)[name] for name in entry}
        for line, entry in zip(lines, entries, strict=True)
    ]


@given(st.text())
def test_any_name_survives_and_none_acts(name):
    """A hostile name reads back the same, though no raw byte of it could act."""
    key = examples.key(owners=[examples.owner(name)])

    text = document.as_json_line(examples.headroom([key]))

    command = json.loads(text)["keys"][0]["owners"][0]["command"]
    assert command == name.encode("utf-8", "backslashreplace").decode()
    assert text.count("\n") == 1
    assert not any(ord(mark) in document.ACTING or ord(mark) < 0x20 for mark in text[:-1])


def test_invalid_unicode_is_escaped():
    """A name that is no Unicode, as a process may have, does not stop the answer."""
    key = examples.key(owners=[examples.owner("a\udcff")])

    actual = json.loads(document.as_json(examples.headroom([key])))

    assert actual["keys"][0]["owners"][0]["command"] == "a\\udcff"
