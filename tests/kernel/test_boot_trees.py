"""The boot law and the real programs agree, on trees drawn from the rules."""

from __future__ import annotations

import os

import hypothesis
import pytest

from portroom.kernel.sysctl_d import read_tree
from portroom.model.laws.boot import APPLIED, boot
from portroom.model.laws.dialects import dialect
from tests.kernel.boot_host import DEFAULTS, Host, Programs, found_programs
from tests.kernel.boot_trees import KEYS, Tree, trees

TREES = 10_000 if os.environ.get("PORTROOM_TESTS") == "full" else 1_000

# Not hypothesis's explanation of a failure: it would boot some hundred times more.
PHASES = [hypothesis.Phase.generate, hypothesis.Phase.shrink]

ROOTS = found_programs()
CASES = [(root, program) for root in ROOTS for program in root.versions]


@pytest.mark.parametrize("split_usr", [False, True], ids=["merged /usr", "split /usr"])
@pytest.mark.parametrize(
    ("programs", "program"),
    CASES,
    ids=[f"{program} of {root.label}" for root, program in CASES],
)
def test_the_law_says_what_the_program_does(netns, programs, program, split_usr):
    """
    After each tree every sysctl holds what the law says, and the line that is named holds it.
    """
    compared = netns(compare_trees, programs, program, split_usr, TREES // 4, deadline_s=900)

    assert compared >= TREES // 4


def compare_trees(programs: Programs, program: str, split_usr: bool, count: int) -> int:
    """
    Compare law and program on drawn trees; return how many were.
    """
    host = Host(programs, split_usr=split_usr)
    compared = [0]

    @hypothesis.settings(max_examples=count, database=None, phases=PHASES)
    @hypothesis.given(trees())
    def one(tree: Tree) -> None:
        compared[0] += 1
        compare(host, tree, program)

    one()
    return compared[0]


def compare(host: Host, tree: Tree, program: str) -> None:
    """
    Show that the program leaves what the law says, and that the winner says it too.
    """
    tree.make(host)
    rules = dialect(program, host.programs.versions[program])
    predicted = boot(read_tree(str(host.root)), rules, KEYS, DEFAULTS)
    happened = host.boot(program)

    assert predicted.state == happened
    for verdict in predicted.verdicts:
        applied = [one for one in verdict.candidates if one.fate.outcome == APPLIED]
        winners = [one.place for one in applied if one.value is not None]

        assert winners == [verdict.winner] * (verdict.winner is not None)
        assert (verdict.value is None) == (verdict.winner is None)
        assert verdict.value is not None or happened[verdict.key] == DEFAULTS[verdict.key]
