"""Whose name a change has, on every screen and in every file."""

import pytest

from portroom.model.facts.journal import Who


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (Who(0, "root", 1000, "alice", "", 1, ()), "root (alice)"),
        (Who(0, "root", None, "", "", 1, ()), "root"),
        (Who(1000, "alice", 1000, "alice", "", 1, ()), "alice"),
        (Who(4711, "", 4712, "", "", 1, ()), "uid 4711 (uid 4712)"),
    ],
)
def test_who_made_a_change(who, expected):
    """
    The user, then the login where it is another one; a number where there is no name.
    """
    assert expected == who.name
