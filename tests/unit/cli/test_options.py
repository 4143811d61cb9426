"""Of many namespaces one may fail, and the others still answer."""

import pytest

from portroom.api.source import Live
from portroom.cli.options import ask, exit_statuses
from portroom.errors import InvalidRequestError, KernelDataError, NotPermittedError
from portroom.model.facts.snapshot import Gap
from tests.unit.render import examples


def question(where):
    """Answer for a namespace, or raise what stands in its place."""
    if isinstance(where, Exception):
        raise where
    return where


def test_one_namespace_answers_or_its_error_is_the_answer():
    """Asked about one, nothing is hidden in a gap."""
    answer = examples.status()

    assert ask([answer], question) == [answer]
    with pytest.raises(NotPermittedError):
        ask([NotPermittedError("no")], question)


def test_a_namespace_that_vanished_is_a_gap():
    """The others answer; the first answer tells which did not."""
    first, second = examples.status(), examples.status(where=examples.netns())

    actual = ask([first, InvalidRequestError("gone"), second], question)

    assert [answer.netns for answer in actual] == [first.netns, second.netns]
    assert [gap.reason for gap in actual[0].gaps][-1] == "gone"
    assert actual[1] == second


def test_many_that_are_closed_are_one_gap():
    """A host with hundreds of containers gets one line, with the first reason."""
    actual = ask([examples.status(), *[NotPermittedError("no")] * 3], question)

    assert [gap.reason for gap in actual[0].gaps][-1] == "3 gave no answer, the first: no"


def test_what_was_not_found_is_a_gap():
    """Namespaces that were not seen at all are told with the first answer."""
    unseen = Gap("namespaces", "hidden", ("namespaces",))

    (actual,) = ask([Live(None, (unseen,))], lambda _: examples.status())

    assert unseen == actual.gaps[-1]


def test_where_none_answers_it_is_an_error():
    """Nothing at all is never an empty answer."""
    with pytest.raises(NotPermittedError):
        ask([InvalidRequestError("gone"), NotPermittedError("no")], question)


def test_what_the_kernel_said_wrong_is_not_passed_over():
    """Only a namespace that is gone or closed is left out."""
    with pytest.raises(KernelDataError):
        ask([examples.status(), KernelDataError("odd")], question)


def test_a_status_of_a_commands_own_stands_in_its_place():
    """Meanings are listed by number, those of the command among the shared ones."""
    lines = exit_statuses(_1="fewer").splitlines()

    assert [line.split()[0] for line in lines[2:]] == ["0", "1", "2", "3", "70", "130"]
