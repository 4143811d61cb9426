"""Plans of several namespaces are one table, and a reason is told once."""

import msgspec
import pytest

from portroom.render.plans import all_as_text
from portroom.render.reasons import refusal, way_out
from portroom.render.units import Style, columns
from tests.unit.render import change_examples as made
from tests.unit.render.examples import HOSTILE, netns

PODS = [
    made.plan(where=netns(f"pod{number}", number), reasons=(made.REFUSED,) if number < 5 else ())
    for number in range(6)
]

UNCHANGED = made.plan(changes=(), where=netns("db", 90))

BOTH = made.plan(changes=(made.RESERVED, made.WIDER), where=netns("web", 91))


def test_each_namespace_has_its_lines():
    """Old and new value, and in a word how it stands; a second setting has a line of its own."""
    expected = """\
2 of 3 network namespaces to change, 1 refused: none is changed.

NETNS  SETTING   NOW             THEN               STATE
pod0   range     32768-60999  →  15000-64001        refused
db                                                  unchanged
web    reserved  none         →  15672,30000-32767  to change
       range     32768-60999  →  15000-64001

Refused in pod0: Ports of listeners that the kernel could then choose: tcp 15672
  (beam.smp, pid 431).
  Add --reserve to reserve them in the same change. --force lifts it.

web1, 3 namespaces, 2026-03-01 12:00:00 UTC.
"""
    changing = made.plan(where=netns("spare", 92))
    unchanged = [PODS[0], UNCHANGED, BOTH]

    assert expected.replace("2 of 3", "1 of 3") == all_as_text(unchanged, Style(80))
    assert all_as_text([*unchanged, changing], Style(80)).startswith("2 of 4 network namespaces")


def test_what_refuses_many_alike_is_told_once():
    """In the table below, and in the sentence of the error."""
    text = all_as_text(PODS, Style(80))

    assert 1 == text.count("Refused in 5 namespaces: Ports of listeners")
    assert refusal(PODS).endswith("tcp 15672 (beam.smp, pid 431) (5 namespaces).")


def test_a_narrow_terminal_tells_values_below_the_namespace():
    """At 40 columns no old value is left out, and no range is cut: it is what is agreed to."""
    text = all_as_text([PODS[0], UNCHANGED, BOTH], Style(40))

    assert max(map(columns, text.splitlines())) <= 40
    assert (
        """
pod0: refused
  range  32768-60999  →  15000-64001
db: unchanged
web: to change
  reserved  none         →  15672,…32767
  range     32768-60999  →  15000-64001
"""
        in text
    )


@pytest.mark.parametrize("width", [40, 50, 58, 59, 60, 80, 0])
def test_a_range_is_whole_at_any_width(width):
    """Be the names as long as may be."""
    plans = [made.plan(where=netns("a-name-that-takes-more-than-its-place" * 2, 7)), BOTH]
    lines = all_as_text(plans, Style(width)).splitlines()

    assert 2 == sum("32768-60999  →  15000-64001" in line for line in lines)
    assert not width or max(map(columns, lines)) <= width


def test_a_warning_is_no_refusal():
    """It is a word in the table, and told below."""
    text = all_as_text([made.plan(reasons=(made.WARNED, made.LOST)), UNCHANGED], Style(80))

    assert "warning\n" in text
    assert "\nWarning in host: NodePorts" in text
    assert "Note" not in text


def test_lines_that_keep_a_setting_are_cut():
    """Ten containers have ten times the same lines, and many have many."""
    plans = [
        made.plan(where=netns(f"pod{number}", number), durable=("same", f"line {number}"))
        for number in range(8)
    ]
    text = all_as_text(plans, Style(80))

    assert 1 == text.count("  same\n")
    assert "and 4 more: -o wide tells all." in text
    assert "more:" not in all_as_text(plans, Style(80, wide=True))


def test_hostile_names_do_not_act():
    """The name of a namespace is other people's text."""
    plan = made.plan(where=netns(HOSTILE), reasons=(made.REFUSED,))
    text = all_as_text([plan, UNCHANGED], Style(80)) + refusal([plan, plan])

    assert {"\n"} >= {letter for letter in text if not letter.isprintable()}


def test_the_error_has_all_reasons_and_the_way_out():
    """What lifts all of them, or what to write instead where nothing does."""
    two = made.plan(reasons=(made.REFUSED, made.TOO_FEW))
    blocked = msgspec.structs.replace(made.TOO_FEW, lifted_by=(), remedy="Set both: a=1 b=2.")

    assert "Refused: Ports of listeners" in refusal([two])
    assert "; Only 12 ports would be left" in refusal([two])
    assert "Nothing was written; --force lifts it." == way_out([two])
    assert "Nothing was written; --reserve or --force lifts it." == way_out([made.REFUSED_PLAN])
    assert "Nothing was written. Set both: a=1 b=2." == way_out(
        [made.plan(reasons=(made.REFUSED, blocked))]
    )
    assert "" == refusal([made.KEPT_PLAN])
