"""The boot law and the real programs agree, on trees drawn from the rules."""

from __future__ import annotations

import os
import re

import hypothesis
import pytest

from portroom.kernel.sysctl_d import read_tree
from portroom.model.laws.boot import boot
from portroom.model.laws.dialects import dialect
from portroom.model.laws.outcomes import APPLIED
from tests.kernel.boot_host import DEFAULTS, Host, Programs, found_programs, reset_settings
from tests.kernel.boot_trees import KEYS, PHASES, RANGE, START, TIMEOUT, Tree, trees

TREES = 3_200 if os.environ.get("PORTROOM_TESTS") == "full" else 600

ROOTS = found_programs()

NUMBERED = {RANGE, START, TIMEOUT}
"""Sysctls of which each line that is drawn has a number of its own."""


def test_this_machine_has_both_programs():
    """
    systemd-sysctl and sysctl are here to be compared with.
    """
    assert {"systemd", "procps"} == set(ROOTS[0].versions)


@pytest.mark.parametrize("split_usr", [False, True], ids=["merged /usr", "split /usr"])
@pytest.mark.parametrize("programs", ROOTS, ids=lambda programs: programs.label)
def test_the_law_says_what_the_programs_do(netns, programs, split_usr):
    """
    After each tree every sysctl holds what the law says, and the line that is named says that.

    A number that is drawn stands in one line of a tree, or in a few that say the same.
    """
    count = TREES // 2 if programs == ROOTS[0] else TREES // 16
    compared = netns(compare_trees, programs, split_usr, count, deadline_s=1_800)

    assert compared >= count


def compare_trees(programs: Programs, split_usr: bool, count: int) -> int:
    """
    Compare law and programs on drawn trees; return how many were.
    """
    host = Host(programs, split_usr=split_usr)
    compared = [0]

    @hypothesis.settings(max_examples=count, database=None, phases=PHASES)
    @hypothesis.given(trees())
    def one(tree: Tree) -> None:
        compared[0] += 1
        tree.make(host)
        for program in programs.versions:
            compare(host, program)

    one()
    return compared[0]


def compare(host: Host, program: str) -> None:
    """
    Show that a program leaves what the law says, and that the winner is what says so.
    """
    reset_settings()
    rules = dialect(program, host.programs.versions[program])
    predicted = boot(read_tree(str(host.root)), rules, KEYS, DEFAULTS)
    happened = host.boot(program)

    assert predicted.state == happened, program
    for verdict in predicted.verdicts:
        applied = [one for one in verdict.candidates if one.fate.outcome == APPLIED]
        winners = [one.place for one in applied if one.value is not None]

        assert winners == [verdict.winner] * (verdict.winner is not None)
        assert (verdict.value is None) == (verdict.winner is None)
        assert verdict.value is not None or happened[verdict.key] == DEFAULTS[verdict.key]
        if verdict.value and verdict.key in NUMBERED:
            (said,) = {one.value for one in applied if one.place == verdict.winner}

            assert first_number(said.decode("latin-1")) == int(happened[verdict.key].split()[0])


def first_number(text: str) -> int:
    """
    Return the first number of a line, in the base that the kernel takes it in.
    """
    digits = re.match("-?[0-9a-fx]*", text.strip()).group()
    octal = digits.startswith("0") and digits.isdecimal()
    return int(digits, 8 if octal else 0)
