"""`--strict` decides by what was found, and says when it cannot."""

import pytest

from portroom import cli
from portroom.cli import doctor
from portroom.model.advice.findings.myths import MYTHS
from portroom.model.advice.findings.table import FINDINGS
from tests.unit.render import advice_examples as made


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([made.findings((), unchecked=())], 0),
        ([made.findings([made.PARITY], unchecked=())], 1),  # an info is a finding, too
        ([made.findings(()), made.findings([made.FULL])], 1),
        ([made.findings((), unchecked=()), made.findings(())], 3),
    ],
)
def test_what_is_not_checked_is_neither_yes_nor_no(capsys, answers, expected):
    """A finding is 1, none is 0, none with rules that could not look is 3 with a sentence."""
    actual = doctor.judged(answers)

    assert expected == actual
    said = capsys.readouterr().err
    assert ("not checked in full: conntrack_near_full, snat_tight." in said) == (expected == 3)


def test_a_name_chooses_its_rule():
    """Of the findings, and of the rules that looked or could not."""
    every = made.findings()

    actual = doctor.chosen(every, ("listener_in_range", "snat_tight"))

    assert ([made.LISTENER], ("listener_in_range",), ("snat_tight",)) == (
        list(actual.findings),
        actual.checked,
        actual.unchecked,
    )
    assert every == doctor.chosen(every, ())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), {}),
        (("tight_key", "same-parity"), {"tight_key": False, "same_parity": False}),
        (("tcp_fin_timeout", "28231"), {"myth_fin_timeout": True, "myth_count": True}),
        (("myth_tw_recycle",), {"myth_tw_recycle": True}),
        (("1024", "65535"), {"myth_wide_range": True}),
        (("1024-65535", "tight_key"), {"myth_wide_range": True, "tight_key": False}),
    ],
)
def test_a_name_is_a_finding_or_a_myth(names, expected):
    """By what people type, in one word or in two."""
    actual = doctor.wanted(names)

    assert expected == {name: myth is not None for name, (_, myth) in actual.items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), doctor.WATCHED_S),
        (("tcp_tw_recycle", "tight_key"), 0.0),
        (("tight_key", "tw_buckets_low"), doctor.WATCHED_S),
        (("conntrack_insert_failed",), doctor.WATCHED_S),
    ],
)
def test_nobody_waits_for_what_no_rule_needs(names, expected):
    """The counters are watched where a rule that was asked for looks at them."""
    actual = doctor.unasked_s(doctor.wanted(names))

    assert expected == actual


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tigt_key",), "There is no finding 'tigt_key'. Did you mean 'tight_key'?"),
        (("tcp_tw_recicle",), "Did you mean 'tcp_tw_recycle'?"),
        (("--for", "-1"), "'--for'"),
        (("--netns", "web", "--all-netns"), "--netns and --all-netns exclude each other."),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(capsys, words, told):
    """What is wrong, and the nearest name."""
    status = cli.run(["doctor", *words])

    said = capsys.readouterr()
    assert (2, "", 1) == (status, said.out, said.err.count("\n"))
    assert told in said.err


def test_names_are_completed():
    """Findings, and what people call a myth by; each is understood."""
    actual = doctor.complete_name(None, None, "")

    assert set(FINDINGS) < set(actual)
    assert {"tcp_tw_recycle", "1024-65535"} <= set(actual)
    assert {myth.name for myth in MYTHS} <= doctor.wanted(actual).keys() <= FINDINGS.keys()
    assert doctor.complete_name(None, None, "tcp_f") == ["tcp_fin_timeout"]
