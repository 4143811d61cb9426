"""What could not be seen is told, once and in words."""

from portroom.model.facts.snapshot import Gap, not_looked_at
from portroom.render import gaps
from portroom.render.units import Style
from tests.unit.render import examples

UNREADABLE = Gap("owners", "no CAP_SYS_PTRACE", ("keys.owners",))


def test_each_gap_is_one_sentence_and_told_once():
    """The same gap of many namespaces is one sentence."""
    actual = gaps.as_lines([UNREADABLE, UNREADABLE], Style(width=0))

    assert actual == ["Not seen: owners: no CAP_SYS_PTRACE. Uncertain: keys.owners."]


def test_what_nobody_looked_at_is_one_line_together():
    """It is a choice and no failure; a reason that follows is told."""
    unseen = [
        not_looked_at("boot", "drift"),
        Gap("owners", "not_looked_at: 9000 sockets, add --owners"),
    ]

    actual = gaps.as_lines(unseen, Style(width=0))

    assert actual == ["Not looked at: boot and owners (9000 sockets, add --owners)."]


def test_a_hostile_reason_is_made_printable():
    """A reason may quote what a file or a process says."""
    actual = gaps.as_sentence(Gap(examples.HOSTILE, examples.HOSTILE))

    assert actual.isprintable()


def test_a_gap_hides_the_fields_it_names():
    """The whole field, not a part of it; that nobody looked hides it as well."""
    assert gaps.hides([Gap("groups", "refused", ("keys",))], "keys")
    assert gaps.hides([not_looked_at("route", "keys")], "keys")
    assert not gaps.hides([UNREADABLE], "keys")


def test_the_footer_tells_whose_and_when():
    """Below every answer stand its gaps, the host, the namespace, and the time."""
    actual = gaps.footer([examples.headroom(gaps=[UNREADABLE])], Style(width=0))

    assert len(actual) == 2
    assert actual[1] == "web1, namespace host, 2026-03-01 12:00:00 UTC."
