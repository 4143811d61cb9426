"""The table of dialects: each program from each version on."""

import itertools

import pytest

from portroom.model.laws.dialects import DIALECTS, PROGRAMS, dialect


@pytest.mark.parametrize("program", PROGRAMS)
def test_rows_stand_from_old_to_new(program):
    """
    Each program has rows, the oldest first, and no version has two.
    """
    versions = [row.since for row in DIALECTS if row.program == program]

    assert versions
    assert sorted(set(versions)) == versions


def test_every_row_differs_from_the_one_before():
    """
    A row that says nothing new is not needed.
    """
    for before, row in itertools.pairwise(DIALECTS):
        same = row._replace(since=before.since)

        assert before.program != row.program or before != same


@pytest.mark.parametrize(
    ("program", "version", "since"),
    [
        ("systemd", (239,), (247,)),
        ("systemd", (247,), (247,)),
        ("systemd", (251, 9), (247,)),
        ("systemd", (252, 39), (252,)),
        ("systemd", (261,), (257,)),
        ("systemd", (300,), (262,)),
        ("procps", (3, 3, 17), (3, 3, 17)),
        ("procps", (4, 0), (3, 3, 17)),
        ("procps", (4, 0, 7), (4, 0, 2)),
        ("tuned", (2, 21, 0), (2, 15)),
        ("tuned", (2, 27), (2, 22)),
    ],
)
def test_a_version_has_the_rules_of_the_last_row_before_it(program, version, since):
    """
    A version between two rows has the rules of the older one; one before all, the oldest.
    """
    expected = since
    actual = dialect(program, version).since

    assert expected == actual


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unknown_version_is_the_newest(program):
    """
    Without a version the newest rules hold.
    """
    rows = [row for row in DIALECTS if row.program == program]

    assert rows[-1] is dialect(program)
    assert f"{program} " in dialect(program).name
