"""Other namespaces are visited in bounds, and what was not seen is told."""

from pathlib import Path

import pytest

from portroom.errors import InvalidRequestError, NotPermittedError, NotSupportedError
from portroom.kernel import elsewhere
from portroom.kernel.elsewhere import MOST_NAMESPACES, read_ranges
from portroom.kernel.namespaces import NetnsRef, Survey
from portroom.model.facts.gaps import Gap
from portroom.model.facts.snapshot import NetnsId

HERE = "/proc/thread-self/ns/net"


def refs(number, path=HERE):
    """
    Return so many names of the namespace that the test runs in.
    """
    inode = Path(HERE).stat().st_ino
    return tuple(
        NetnsRef(NetnsId(f"n{place}", None, inode, "named"), path) for place in range(number)
    )


def test_at_most_so_many_namespaces_are_visited():
    """
    One more is not looked at.
    """
    found, gap = read_ranges(Survey(refs(MOST_NAMESPACES + 1)))

    assert gap is not None
    assert [f"n{place}" for place in range(MOST_NAMESPACES)] == [one.netns.name for one in found]


def test_after_the_deadline_none_is_visited_and_that_is_a_gap(monkeypatch):
    """
    Nothing found is told only where everything was looked at.
    """
    monkeypatch.setattr(elsewhere, "DEADLINE_S", -1.0)

    found = read_ranges(Survey(refs(3)))

    assert ((), Gap("namespaces", "3 of 3 were not looked at", ("causes", "findings"))) == found


def test_no_namespace_at_all_is_no_gap():
    """
    There was nothing to look at.
    """
    assert ((), None) == read_ranges(Survey(()))


@pytest.mark.parametrize("number", [0, 2])
def test_what_the_survey_did_not_see_is_a_gap_whatever_was_found(number):
    """
    The reason is that of the survey.
    """
    found, gap = read_ranges(Survey(refs(number), (Gap("namespaces", "some are hidden"),)))

    assert number == len(found)
    assert "some are hidden" == gap.reason


def test_a_namespace_that_ended_is_left_out():
    """
    It has no range any more, and is missed by nobody.
    """
    assert ((), None) == read_ranges(Survey(refs(1, "/proc/0/ns/net")))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidRequestError("gone"), None),
        (NotPermittedError("no"), "2 may not be entered (needs CAP_SYS_ADMIN)"),
        (NotSupportedError("no"), "2 of 2 were not looked at"),
        (PermissionError("no"), "2 of 2 were not looked at"),
    ],
)
def test_a_namespace_that_cannot_be_read_is_counted(error, reason):
    """
    By whether it is gone, may not be entered, or told something that cannot be read.
    """
    visit = elsewhere._Visit(refs(2))

    def job(_):
        raise error

    found = list(visit.each(job))
    gap = visit.gap(())

    assert [] == found
    assert reason == (gap and gap.reason)
