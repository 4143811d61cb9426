"""`--warn-below` decides by what is sure, and says when it cannot."""

import pytest

from portroom.cli.headroom import judged
from portroom.model.facts.snapshot import Gap
from tests.unit.render import examples


@pytest.mark.parametrize(
    ("warn_below", "expected"),
    [
        (0, 0),
        (11_231, 0),  # all figures agree: 11,231 are surely free
        (11_232, 3),  # between 11,231 and 19,231 the kernel does not tell
        (19_231, 3),
        (19_232, 1),  # at most 19,231 are free
        (30_000, 1),
    ],
)
def test_a_doubt_is_neither_yes_nor_no(capsys, warn_below, expected):
    """Surely fewer is 1, perhaps fewer is 3 with a sentence, surely enough is 0."""
    answer = examples.headroom([examples.DOUBTFUL])

    actual = judged([answer], warn_below)

    assert expected == actual
    assert ("cannot be decided" in capsys.readouterr().err) == (expected == 3)


def test_one_sure_key_decides_for_all():
    """A key that surely has fewer outweighs any doubt about others."""
    answers = [examples.headroom([examples.DOUBTFUL, examples.TIGHT])]

    actual = judged(answers, 12_000)

    assert actual == 1


def test_keys_that_could_not_be_read_leave_it_undecided(capsys):
    """No key below the mark says nothing where keys may be missing."""
    gap = Gap("sock_diag", "refused", ("keys",))

    actual = judged([examples.headroom([examples.EASY], gaps=[gap])], 10)

    assert actual == 3
    assert "not every key could be read" in capsys.readouterr().err
