"""Findings: the gravest first, each with a command that can be copied."""

import json

import pytest
from msgspec.structs import replace

from portroom.model.advice.findings.myths import MYTHS, myth_named
from portroom.model.facts.answers import Finding
from portroom.model.facts.snapshot import Gap
from portroom.render import findings, status
from portroom.render.brief_findings import brief_lines
from portroom.render.units import Style, columns
from tests.unit.render import advice_examples as made
from tests.unit.render import examples

SCREEN = """\
3 findings: 1 critical, 1 warning and 1 info.

Critical: tight_key: 28,190 of 28,232 ports (99 %) towards 10.0.0.9:443 are
  held, most by nginx.
  Keep connections open, or give the destination a second address.
    portroom explain EADDRNOTAVAIL --remote 10.0.0.9:443
  docs/findings/tight_key.md

Warning: listener_in_range: 2 listeners are inside the range and not reserved:
  tcp 40003, 40004.
  Reserve their ports.
    portroom set reserved+=40003,40004
  docs/findings/listener_in_range.md

Info: same_parity: The range 32768-61000 begins and ends with an even port.

Not checked in full: conntrack_near_full and snat_tight.

Not seen: conntrack: not permitted. Uncertain: findings.
web1, namespace host, 2026-03-01 12:00:00 UTC.
"""


def test_the_screen_at_80_columns():
    """How many, each with evidence, remedy, command and page; what was not checked, and why."""
    gap = Gap("conntrack", "not permitted", ("findings",))

    actual = findings.as_text(made.findings(gaps=[gap]), Style(width=80))

    assert actual == SCREEN


def test_the_gravest_is_first_whatever_the_order():
    """Critical, warning, info."""
    answer = made.findings([made.PARITY, made.LISTENER, made.FULL])

    actual = findings.as_text(answer, Style(width=0))

    places = [actual.index(word) for word in ("Critical:", "Warning:", "Info:")]
    assert sorted(places) == places


def test_no_finding_is_one_honest_sentence():
    """It tells how many rules looked, and which did not see what they need."""
    some = findings.as_text(made.findings(()), Style(width=0)).splitlines()
    one = findings.as_text(made.findings((), unchecked=["snat_tight"]), Style(width=0)).splitlines()
    every = findings.as_text(made.findings((), unchecked=()), Style(width=0)).splitlines()

    assert some[0] == (
        "No finding; 4 rules looked, 2 could not see what they need: "
        "conntrack_near_full and snat_tight."
    )
    assert one[0] == "No finding; 4 rules looked, 1 could not see what it needs: snat_tight."
    assert every[0] == "No finding; 4 rules looked."
    assert "Not checked" not in "".join(some)


def test_a_rule_that_looked_in_one_namespace_is_not_told_as_one_that_could_not():
    """Of two namespaces drift was looked for in the first alone, and NodePorts in none."""
    looked = [("tight_key", "drift"), ("tight_key",)]
    answers = [
        replace(made.findings((), unchecked=missed), checked=checked)
        for checked, missed in zip(looked, [("snat_tight",), ("drift", "snat_tight")], strict=True)
    ]

    first = findings.all_as_text(answers, Style(width=0)).splitlines()[0]

    assert first == (
        "No finding; 1 rule looked, 1 could not see what it needs: snat_tight, "
        "1 not in every namespace: drift."
    )


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_line_fits_the_terminal_but_commands(width):
    """A command is never broken, so that it can be copied."""
    lines = findings.as_text(made.findings(), Style(width=width)).splitlines()

    commands = [f"    {one.command}" for one in (made.FULL, made.LISTENER)]
    assert all(command in lines for command in commands)
    assert all(columns(line) <= width for line in lines if line not in commands)


def test_what_several_namespaces_share_is_told_once():
    """With the namespaces that have it, and the command of each."""
    command = "portroom set reserved+=40003 --netns db"
    other = Finding("warning", "listener_in_range", made.LISTENER.evidence, "Reserve their ports.")
    answers = [
        made.findings([made.LISTENER]),
        made.findings([made.FULL], where=examples.netns("web")),
        made.findings(
            [Finding(*[getattr(other, name) for name in ("severity", "name")], other.evidence,
                     other.remedy, command=command)],
            where=examples.netns("db"),
        ),
    ]  # fmt: skip

    actual = findings.all_as_text(answers, Style(width=0))

    assert actual.startswith("2 findings in 3 namespaces: 1 critical and 1 warning.\n")
    assert "Critical in web: tight_key: " in actual
    assert actual.count("listener_in_range: 2 listeners") == 1
    assert "Warning in host and db: " in actual
    assert f"    {made.LISTENER.command}\n    {command}\n" in actual


def test_of_many_commands_some_are_shown():
    """A hundred namespaces with one trouble do not fill the screen; wide has all."""
    answers = [
        made.findings(
            [Finding("info", "untuned_namespace", "Default range.", "Set it.", command=f"do {n}")],
            where=examples.netns(f"n{n}", n),
        )
        for n in range(100)
    ]

    short = findings.all_as_text(answers, Style(width=80))
    wide = findings.all_as_text(answers, Style(width=80, wide=True))

    assert "    do 2\n    97 more: -o wide shows all.\n" in short
    assert "    do 99\n" in wide
    assert "Info in 100 namespaces: " in short


def test_wide_has_the_processes():
    """By name, pid and unit."""
    actual = findings.as_text(made.findings(), Style(width=80, wide=True))

    assert "  Processes: nginx (pid 4312, nginx.service).\n" in actual


def test_colour_never_carries_a_meaning_alone():
    """Without its colours, the coloured text is the plain one; the gravest is red."""
    plain = findings.as_text(made.findings(), Style(width=80))
    coloured = findings.as_text(made.findings(), Style(width=80, colour=True))

    assert coloured.startswith("\x1b[31m3 findings")
    for code in ("1", "2", "31", "32", "33", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert plain == coloured


def test_hostile_text_does_not_act():
    """Names of processes in sentences and commands are other people's text."""
    hostile = Finding("warning", "bind_first", examples.HOSTILE, examples.HOSTILE,
                      command=f"kill {examples.HOSTILE}",
                      owners=(examples.owner(examples.HOSTILE),))  # fmt: skip
    answer = made.findings([hostile], where=examples.netns(examples.HOSTILE))

    for text in (
        findings.as_text(answer, Style(wide=True)),
        findings.all_as_text([answer, made.findings()], Style()),
        findings.as_csv_text([answer]),
        "\n".join(brief_lines([(answer, hostile)], Style(), named=True)),
    ):
        assert all(line.isprintable() for line in text.split("\n"))


def test_ascii_is_ascii():
    """With plain glyphs no other character is drawn."""
    assert findings.as_text(made.findings(), Style(width=40, ascii=True)).isascii()


def test_a_finding_is_a_line():
    """Of CSV, and of JSON with the header before its fields."""
    rows = findings.as_csv_text([made.findings()]).splitlines()
    objects = [json.loads(line) for line in findings.as_jsonl(made.findings()).splitlines()]

    assert rows[0] == "netns,severity,name,evidence,remedy,command,page"
    assert [row.split(",")[2] for row in rows[1:]] == [one["name"] for one in objects]
    assert objects[0]["numbers"]["held_ports"] == 28_190
    assert objects[0]["host"] == "web1"


def test_another_screen_has_the_gravest_three():
    """A line each, cut to the terminal, and the command that has them all."""
    found = [made.LISTENER, made.PARITY, made.FULL, made.LISTENER, made.PARITY]
    answer = examples.status(findings=found, where=examples.netns("web"))

    lines = status.as_text(answer, Style(width=60)).splitlines()

    start = next(i for i, line in enumerate(lines) if line.startswith("Critical"))
    assert lines[start : start + 4] == [
        "Critical: 28,190 of 28,232 ports (99 %) towards 10.0.0.9:44…",
        "Warning: 2 listeners are inside the range and not reserved:…",
        "Warning: 2 listeners are inside the range and not reserved:…",
        "2 more findings, and what to do: portroom doctor --netns web",
    ]


def test_status_of_all_namespaces_names_each():
    """The gravest of all, with its namespace."""
    answers = [
        examples.status(findings=[made.PARITY]),
        examples.status(findings=[made.FULL], where=examples.netns("db")),
    ]

    actual = status.all_as_text(answers, Style(width=0))

    assert f"Critical in db: {made.FULL.evidence}\nInfo in host: " in actual
    assert "What to do: portroom doctor --all-netns\n" in actual


def test_what_status_tells_by_itself_is_not_told_twice():
    """Drift has a sentence of its own there."""
    drift = Finding("warning", "drift", "range drifts.", "Persist it.")

    without = brief_lines([], Style())
    told = status.findings_beside(examples.status(findings=[drift, made.FULL]))
    beside = status.findings_beside(examples.status(findings=[drift, made.FULL], drift=[object()]))

    assert [] == without
    assert [drift, made.FULL] == [one for _, one in told]
    assert [made.FULL] == [one for _, one in beside]


def test_a_myth_is_refused_before_the_findings():
    """How it is, what they say, why not, what to do instead, and the page."""
    answer = made.findings((), unchecked=())
    myth = myth_named("tcp_fin_timeout")

    text = findings.Screen([myth]).as_text(answer, Style(width=0))
    lines = text.splitlines()

    assert lines[:2] == [f"{myth.title}.", f'  They say: "{myth.claim}"']
    assert lines[3:6] == [f"  Instead: {myth.instead}", f"    {myth.command}", f"  {myth.page}"]
    assert text.endswith(findings.as_text(answer, Style(width=0)))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_myth_fits_the_terminal_but_its_command(width):
    """Each line, at each width."""
    for myth in MYTHS:
        for line in findings.myth_lines(myth, Style(width=width, ascii=True)):
            assert line.isascii()
            assert columns(line) <= width or line.strip() == myth.command


def test_data_have_no_place_for_a_myth():
    """A program gets what was found; the myth is one sentence for whoever looks."""
    answer, screen = made.findings(), findings.Screen(MYTHS)

    sentence = findings.myth_sentence(MYTHS[0])

    assert findings.as_json(answer) == screen.as_json(answer)
    assert findings.as_jsonl(answer) == screen.as_jsonl(answer)
    assert findings.as_csv_text([answer]) == screen.as_csv_text([answer])
    assert "\n" not in sentence
    assert MYTHS[0].truth in sentence
