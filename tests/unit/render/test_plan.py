"""A plan is told whole, the gravest first, in the width there is."""

import csv
import io
import json

import jsonschema
import msgspec
import pytest

from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.change import (
    NOTE,
    PERSIST,
    PERSIST_ONLY,
    WARNING,
    Capacity,
    Collision,
    FileStep,
    HeldPort,
    Persistence,
    Reason,
    Request,
    SettingChange,
)
from portroom.model.facts.gaps import Gap
from portroom.render import plan as screen
from portroom.render import schema
from portroom.render.document import as_json_all
from portroom.render.units import Style, columns
from tests.unit.render import change_examples as made
from tests.unit.render.examples import AT, HOSTILE, owner

REFUSED = """\
SETTING  NOW             THEN
range    32768-60999  →  15000-64001

49,002 connections fit to each destination then, 20,770 more than now (28,232).
DESTINATION                  FREE NOW  FREE THEN
10.0.0.9:443                       42     20,812
[2001:db8:12:34::1234]:8443         0     20,770
udp on 0.0.0.0                 28,220     48,990

The kernel could then choose ports that something else counts on:
PORTS        PROTO    KIND      WHAT                                     STATE
15672        tcp      listener  beam.smp (pid 431, rabbitmq-server.ser…  refused
30000-32767  tcp/udp  NodePort  kube-proxy runs here                     warning

Held now by outgoing connections, so that nothing can listen there until they
end; reserving does not end them:
  tcp 15673: 2 connections of curl (pid 77)

Refused: Ports of listeners that the kernel could then choose: tcp 15672
  (beam.smp, pid 431).
  Add --reserve to reserve them in the same change. --force lifts it.
Warning: NodePorts that the kernel could then choose: tcp/udp 30000-32767
  (kube-proxy runs here).
  Add --reserve to reserve them in the same change.
Note: The value lasts until the next boot. Add --persist to keep it.

Reserved ports that keep all of it safe, with those reserved already:
  15672,30000-32767.

Next limit: nginx (pid 4312) has 8,012 of 65,536 files open: 57,524 more
  connections.

web1, namespace host, 2026-03-01 12:00:00 UTC.
"""


SCREEN = Style(80)


def told(plan, style=SCREEN):
    """Return the text of a plan."""
    return screen.as_text(plan, style)


def test_a_refused_plan_is_told_whole():
    """Values, what is gained, what speaks against it, what would be better, the next limit."""
    assert REFUSED == told(made.REFUSED_PLAN)


def test_a_narrow_terminal_keeps_ports_and_state():
    """At 40 columns no line is longer, and no row is left out."""
    lines = told(made.REFUSED_PLAN, Style(40)).splitlines()

    assert max(map(columns, lines)) <= 40
    assert any(line.startswith("15672 ") and line.endswith("refused") for line in lines)
    assert any(line.startswith("30000-32767 ") and line.endswith("warning") for line in lines)


def test_ascii_is_ascii():
    """With plain glyphs each character is one of ASCII."""
    text = told(made.REFUSED_PLAN, Style(80, ascii=True))

    assert text.isascii()
    assert "32768-60999  ->  15000-64001" in text


def test_wide_has_whose_ports_and_every_step_in_order():
    """What the file will hold is in it, too."""
    text = told(made.KEPT_PLAN, Style(80, wide=True))

    expected = """\
STEP  WHERE  WRITES                             BEFORE       AFTER
   1  host   net.ipv4.ip_local_reserved_ports   none         15672,30000-32767
   2  host   net.ipv4.ip_local_port_range       32768 60999  15000 64001
   3  file   /etc/sysctl.d/99-zz-portroom.conf  none         77 bytes

/etc/sysctl.d/99-zz-portroom.conf, mode 0644:
  # portroom: set range=15000-64001
  net.ipv4.ip_local_port_range = 15000 64001
"""
    assert expected in text
    wide = told(made.REFUSED_PLAN, Style(80, wide=True))
    assert "0.0.0.0:15672         beam.smp (pid 431, rabbitmq-server.service)  refused" in wide


def test_nothing_to_do_is_one_sentence():
    """The value that holds already is named, and nothing else is told."""
    expected = """\
Nothing to do: range is 15000-64001 already.

web1, namespace host, 2026-03-01 12:00:00 UTC.
"""
    assert expected == told(made.NOTHING)


def test_a_value_that_holds_can_still_be_kept():
    """Where the kernel holds it and the file does not, only the file is written."""
    plan = msgspec.structs.replace(made.NOTHING, steps=(made.file_step(),), persistence=made.KEPT)

    lines = told(plan).splitlines()

    assert "Only the file is written: range is 15000-64001 already." == lines[0]
    assert (
        "Next boot: /etc/sysctl.d/99-zz-portroom.conf is made; systemd-sysctl applies it." in lines
    )


@pytest.mark.parametrize(
    ("request_", "steps", "expected"),
    [
        (Request((), PERSIST), (made.file_step(b"# old\n"),), "is replaced; systemd-sysctl"),
        (Request((), PERSIST), (made.file_step(b"# old\n", None),), "is removed; systemd-sysctl"),
        (Request((), PERSIST), (), "stays as it is; systemd-sysctl"),
        (Request((), PERSIST, trial_s=120), (), "Next boot: the confirmation writes /etc"),
    ],
)
def test_what_becomes_of_the_file_is_told(request_, steps, expected):
    """It is made, replaced, removed, left, or written by the confirmation of a trial."""
    plan = msgspec.structs.replace(made.KEPT_PLAN, request=request_, steps=steps)

    assert expected in " ".join(told(plan).split())


def test_a_program_that_would_differ_is_told():
    """Below the program that boots this host stand those that would leave another value."""
    kept = Persistence(made.FILE, None, ("sysctl --system would leave 15000 65000.",))
    text = told(msgspec.structs.replace(made.KEPT_PLAN, persistence=kept))

    assert "nothing is known to apply it at boot here." in " ".join(text.split())
    assert "\n  sysctl --system would leave 15000 65000.\n" in text


def test_persist_only_does_not_speak_of_now():
    """The new value stands below the next boot, for the kernel keeps its own."""
    plan = made.plan(request=Request(("range=15000-64001",), PERSIST_ONLY))

    assert told(plan).startswith("SETTING  NOW             NEXT BOOT\n")


def test_many_listeners_are_cut_and_counted():
    """Of 30 ten are told, those that refuse first; wide has all."""
    calm = [
        Collision("service", WARNING, "tcp", port, port, f"s{port}") for port in range(16000, 16020)
    ]
    grave = [
        Collision("listener", "refusal", "tcp", port, port, f"l{port}")
        for port in range(15000, 15010)
    ]
    plan = made.plan(collisions=(*calm, *grave))

    lines, wide = told(plan).splitlines(), told(plan, Style(80, wide=True))

    assert 10 == sum(line.endswith("refused") for line in lines)
    assert 0 == sum(line.endswith("warning") for line in lines)
    assert "and 20 more: -o wide tells all." in lines
    assert 30 == wide.count("refused\n") + wide.count("warning\n")


def test_one_row_more_than_the_most_is_told():
    """A line that counts one more could as well be that one."""
    some = [Collision("udp", WARNING, "udp", port, port, "x") for port in range(15000, 15011)]

    text = told(made.plan(collisions=some))

    assert "more: -o wide" not in text
    assert 11 == text.count("UDP socket")


def test_adjacent_ports_of_one_process_are_a_run():
    """A program with fourteen listeners is one row; wide has each with its address."""
    some = [
        Collision("listener", "refusal", "tcp", port, port, f"0.0.0.0:{port}", (made.RABBIT,))
        for port in (*range(16000, 16014), 16020)
    ]
    plan = made.plan(collisions=some)
    text = told(plan)

    assert "\n16000-16013  tcp    listener  beam.smp (pid 431, " in text
    assert 2 == text.count("refused\n")
    assert 15 == told(plan, Style(80, wide=True)).count("refused\n")


def test_what_the_change_reserves_is_no_worry():
    """With --reserve a collision says so in a word, and no list is proposed once more."""
    plan = msgspec.structs.replace(
        made.REFUSED_PLAN,
        request=Request(("range=15000-64001",), reserve=True),
        collisions=(msgspec.structs.replace(made.LISTENER, severity=NOTE),),
    )
    text = told(plan)

    assert "reserved\n" in text
    assert "Reserved ports that keep" not in text


def test_ports_held_now_are_told_once():
    """The reason of the same does not repeat what the list has."""
    held = Reason(WARNING, "held_now", "Held by outgoing connections now: tcp 15673.")
    plan = made.plan(held_now=(HeldPort("tcp", 15673, 1),), reasons=(held,))
    text = told(plan)

    assert "  tcp 15673: 1 connection\n" in text
    assert "Warning" not in text


def test_a_better_range_is_offered():
    """Unless the warning names it already."""
    plan = made.plan(reasons=(made.PARITY,), suggestion=RangeEnds(15000, 64001))
    known = msgspec.structs.replace(made.PARITY, remedy="Write range=15000-64001.")

    assert "\nBetter: range=15000-64001.\n" in told(plan)
    assert "Better" not in told(msgspec.structs.replace(plan, reasons=(known,)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (28_232, 49_002, "49,002 connections fit to each destination then, 20,770 more than now"),
        (49_002, 28_232, "28,232 connections fit to each destination then, 20,770 fewer than now"),
        (28_232, 28_232, "28,232 connections fit to each destination, as now."),
    ],
)
def test_the_gain_is_a_sentence(before, after, expected):
    """More, fewer, or as many as now."""
    assert expected in screen.capacity_sentence(Capacity(before, after))


def test_a_setting_that_gives_no_port_says_nothing_of_capacity():
    """What one destination takes is told of the range and of reserved ports alone."""
    plan = made.plan(("tw_reuse=1",), (made.REUSE,), capacity=Capacity(28_232, 28_232))

    assert "connections fit" not in told(plan)


def test_lists_of_ports_tell_what_comes_and_goes():
    """Two long lists side by side say nothing; what differs does."""
    old = ",".join(str(port) for port in range(2000, 4000, 2))
    change = SettingChange("reserved", made.RESERVED_KEY, old, f"{old},8080,9000-9100")
    lines = told(made.plan(changes=(change,))).splitlines()

    assert "  reserved: 8080,9000-9100 added." in lines
    assert max(map(columns, lines)) <= 80


def test_what_was_not_seen_is_told_before_anything_is_written():
    """A gap stands with the plan, and not only below what was done."""
    gap = Gap("processes", "some are hidden from here", ("collisions",))

    lines = screen.plan_lines(made.plan(gaps=(gap,)), Style(80))

    assert "Not seen: processes: some are hidden from here. Uncertain: collisions." == lines[-1]


def test_durable_lines_are_never_broken():
    """What is to be copied stays one line, and hostile text in it does not act."""
    line = 'docker run --sysctl net.ipv4.ip_local_port_range="15000 64001" ' + "x" * 80
    text = told(made.plan(durable=(line, HOSTILE)))

    assert f"\n  {line}\n" in text
    assert "\x1b" not in text
    assert "\n  e\\x1b[31mvil\\x0a\\u202egnp\n" in text


def test_hostile_text_does_not_act():
    """Names of processes, labels, sentences and files are other people's."""
    bad = owner(HOSTILE, unit=HOSTILE)
    plan = made.plan(
        collisions=(Collision("listener", WARNING, "tcp", 1, 1, HOSTILE, (bad,)),),
        held_now=(HeldPort("tcp", 1, 1, (bad,)),),
        reasons=(Reason(WARNING, "x", HOSTILE, HOSTILE),),
        steps=(FileStep(f"/etc/{HOSTILE}", None, None),),
        persistence=Persistence(f"/etc/{HOSTILE}", HOSTILE, (HOSTILE,)),
        gaps=(Gap(HOSTILE, HOSTILE, (HOSTILE,)),),
    )

    for style in (Style(80), Style(80, wide=True)):
        text = told(plan, style)

        assert {"\n"} >= {letter for letter in text if not letter.isprintable()}


def test_colour_only_repeats_what_words_say():
    """Without its colours a coloured text is the plain one."""
    coloured = told(made.REFUSED_PLAN, Style(80, colour=True))
    for code in ("0", "1", "2", "31", "32", "33"):
        coloured = coloured.replace(f"\x1b[{code}m", "")

    assert REFUSED == coloured


def test_csv_has_a_line_a_setting():
    """With values as they would be typed, and what refuses."""
    rows = list(csv.DictReader(io.StringIO(screen.as_csv_text([made.REFUSED_PLAN, made.NOTHING]))))

    (row,) = rows
    assert ("host", "range", "32768-60999", "15000-64001") == (
        row["netns"],
        row["name"],
        row["before"],
        row["after"],
    )
    assert "tcp 15672" in row["refusals"]


@pytest.mark.parametrize("plan", [made.REFUSED_PLAN, made.KEPT_PLAN, made.NOTHING])
def test_json_is_as_the_schema_says(plan):
    """One plan, those of all namespaces, and a line."""
    rules = json.loads(schema.as_json_schema("plan"))

    jsonschema.validate(json.loads(screen.as_json(plan)), rules)
    jsonschema.validate(json.loads(screen.as_jsonl(plan)), rules)
    jsonschema.validate(json.loads(as_json_all([plan], "web1", AT)), rules)
