"""Each rule of sysctl files holds for the real programs as it is written down, and for the law."""

from __future__ import annotations

import pytest

from portroom.kernel.sysctl_d import read_tree
from portroom.model.facts.sysctl_files import shown
from portroom.model.laws.boot import boot
from portroom.model.laws.dialects import dialect
from portroom.model.laws.outcomes import Booted
from tests.kernel.boot_differences import DIFFERENCES
from tests.kernel.boot_host import DEFAULTS, Host, Programs, found_programs
from tests.kernel.boot_row import Rule, Says
from tests.kernel.boot_rules import COMMON, HANGING
from tests.kernel.boot_trees import KEYS

ROOTS = found_programs()

HANGS_S = 1.0
"""A program ends within some 10 ms; one that has not after a second waits for ever."""


def test_every_difference_has_a_rule():
    """
    The rows cover each number of the table of differences, 1 to 19.
    """
    assert set(range(1, 20)) == {int(rule.name.partition(":")[0]) for rule in DIFFERENCES}


def test_every_rule_has_a_name_of_its_own():
    """
    A failure names one rule.
    """
    names = [rule.name for rule in (*COMMON, *DIFFERENCES, *HANGING)]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("rule", [*COMMON, *DIFFERENCES], ids=lambda rule: rule.name)
@pytest.mark.parametrize("programs", ROOTS, ids=lambda programs: programs.label)
def test_programs_and_law_do_what_the_rule_says(netns, programs, rule):
    """
    The program leaves the value of the row; the law says the same of all sysctls, and
    names the line and every outcome of the row.
    """
    for program, happened, predicted in netns(boot_with_all, programs, rule):
        expected = rule.expected(program, programs.versions[program])

        assert expected.value == happened[rule.key], program
        assert predicted.state == happened, program
        assert expected == seen(predicted, rule.key), program


@pytest.mark.parametrize("rule", HANGING, ids=lambda rule: rule.name)
def test_what_would_hang_a_program_is_told(netns, rule):
    """
    The law answers as if the file were empty, and says that it was not looked into.
    """
    for program, predicted in netns(predict_with_all, ROOTS[0], rule):
        expected = rule.expected(program, ROOTS[0].versions[program])

        assert expected == seen(predicted, rule.key), program
        assert [rule.files[0].path] == [unseen.path for unseen in predicted.unseen]
        assert rule.files[0].kind in predicted.unseen[0].reason


@pytest.mark.parametrize("program", ["systemd", "procps"])
def test_a_fifo_hangs_the_program(netns, program):
    """
    The real program waits for who writes into a FIFO; that is why none is opened here.
    """
    with pytest.raises(TimeoutError):
        netns(boot_until_it_hangs, ROOTS[0], HANGING[0], program)


def seen(predicted: Booted, key: str) -> Says:
    """
    Return what the law says of one sysctl, as a row says it.
    """
    verdict = predicted.verdict(key)
    winner = f"{shown(verdict.winner.path)}:{verdict.winner.line}" if verdict.winner else ""
    outcomes = tuple(candidate.fate.outcome for candidate in verdict.candidates)
    return Says(predicted.state[key], winner, outcomes)


def boot_with_all(programs: Programs, rule: Rule) -> list[tuple[str, dict[str, str], Booted]]:
    """
    Return what each program leaves in all sysctls, and what the law says of it.
    """
    host = Host(programs, split_usr=rule.split_usr)
    answers = []
    for program in programs.versions:
        rule.tree.make(host)
        predicted = predict(host, program)
        answers.append((program, host.boot(program), predicted))
    return answers


def predict_with_all(programs: Programs, rule: Rule) -> list[tuple[str, Booted]]:
    """
    Return what the law says of each program, which is not run.
    """
    host = Host(programs)
    rule.tree.make(host)
    return [(program, predict(host, program)) for program in programs.versions]


def boot_until_it_hangs(programs: Programs, rule: Rule, program: str) -> None:
    """
    Run a program that does not end.
    """
    host = Host(programs)
    rule.tree.make(host)
    host.boot(program, deadline_s=HANGS_S)


def predict(host: Host, program: str) -> Booted:
    """
    Return what the law says of a program on a host.
    """
    rules = dialect(program, host.programs.versions[program])
    return boot(read_tree(str(host.root)), rules, KEYS, DEFAULTS)
