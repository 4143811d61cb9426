"""Status is one screen: the answer first, nothing left out but destinations."""

import csv
import io
import json

import pytest

from portroom.model.facts.answers import BootConflict, Drift, Finding
from portroom.model.facts.snapshot import Gap
from portroom.render import status
from portroom.render.units import Style, columns
from tests.unit.render import examples

SCREEN = """\
42 more connections fit to 10.0.0.9:443, the tightest destination.
Local port range 32768-60999: 28,232 ports, 0 reserved, 28,232 eligible.

DESTINATION     FROM        HELD    FREE  OCCUPANCY        STATE  WHO
10.0.0.9:443    10.0.0.1  28,190      42  #######.   99 %  tight  nginx 8,000, ~
udp on 0.0.0.0  0.0.0.0       12  28,220  ........   <1 %         unknown 12
192.0.2.7:80    10.0.0.1       1  28,231  ........   <1 %         unknown 1

TCP BY STATE  43,756   UDP BY STATE  12   TRANSPORT  TOTAL   IPv4  IPv6
TIME_WAIT     41,080   CLOSE          9   RAW            0      0     0
ESTABLISHED    2,500   ESTABLISHED    3   UDP           12      9     3
CLOSE_WAIT       155                      TCP        2,835  2,800    35
LISTEN            21                      INET       2,847  2,809    38
                                          FRAG           0      0     0
ss -s: TCP total 43,915*, estab 2,655, closed 41,080*, orphaned 159*,
  timewait 41,080; Total 2,933; 30,347 local ports in use (*: whole system)

web1, namespace host, 2026-03-01 12:00:00 UTC.
Not looked at: persisted settings.
"""


def test_the_screen_at_80_columns():
    """The answer, the range, the tightest destinations, sessions, gaps, whose, when."""
    answer = examples.status([examples.TIGHT, examples.UDP, examples.EASY])

    actual = status.as_text(answer, Style(width=80, ascii=True, height=24))

    assert actual == SCREEN


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_every_line_fits_the_terminal(width):
    """From 40 columns on, no line is longer than the terminal is wide."""
    for line in status.as_text(examples.status(), Style(width=width)).splitlines():
        assert columns(line) <= width


def test_destinations_give_way_to_a_low_terminal():
    """80x24 shows all but some destinations, the tightest stay, the rest are counted."""
    keys = [examples.key(port=port, held=port) for port in range(1, 21)]
    answer = examples.status(keys, total=1200)

    low = status.as_text(answer, Style(width=80, height=24)).splitlines()
    high = status.as_text(answer, Style(width=80, height=50)).splitlines()

    assert len(low) <= 23
    assert len(low) < len(high) <= 49
    assert any(line.startswith("10.0.0.9:20 ") for line in low)
    assert any("less tight keys: portroom headroom" in line for line in low)


def test_a_very_low_terminal_keeps_the_answer_in_sight():
    """At 60x20 the figures of `ss -s` go, and the answer is still the first line."""
    keys = [examples.key(port=port, held=port, doubtful=port) for port in range(1, 21)]
    answer = examples.status(keys, total=1200)

    lines = status.as_text(answer, Style(width=60, height=20)).splitlines()

    assert len(lines) <= 19
    assert "TRANSPORT" not in "".join(lines)
    assert lines[0].startswith("Between ")


def test_a_pipe_has_every_destination():
    """Without a height nothing is left out."""
    keys = [examples.key(port=port) for port in range(1, 21)]

    lines = status.as_text(examples.status(keys), Style(width=0)).splitlines()

    assert sum(line.startswith("10.0.0.9:") for line in lines) == 20


def test_without_a_connection_the_range_is_the_answer():
    """A still host says how many fit to each destination."""
    answer = examples.status([], sessions=examples.EMPTY_SUMMARY)

    actual = status.as_text(answer, Style(width=80))

    assert actual.startswith(
        "Up to 28,232 connections fit to each destination. None holds a port now.\n"
    )
    assert "DESTINATION" not in actual


def test_what_is_not_known_is_said():
    """Without range and sessions the screen says so and why."""
    gap = Gap("sock_diag", "not permitted", ("keys", "range"))
    answer = examples.status([], use=None, sessions=None, gaps=[gap])

    actual = status.as_text(answer, Style(width=0))

    assert actual.startswith("How many more connections fit is not known.\n")
    assert "Not seen: sock_diag: not permitted." in actual


def test_keys_that_could_not_be_read_are_not_called_none():
    """A known range alone does not tell that nothing is held."""
    gap = Gap("sock_diag", "not permitted", ("keys",))

    actual = status.as_text(examples.status([], gaps=[gap]), Style(width=0))

    assert actual.startswith("How many more connections fit is not known.\n")


def test_a_doubt_is_said_in_words():
    """Both ends, why, and what settles it."""
    actual = status.as_text(examples.status([examples.DOUBTFUL]), Style(width=0))

    assert actual.startswith(
        "Between 11,231 and 19,231 more connections fit to 10.0.0.10:5432: "
        "the kernel does not tell of 8,000 ports"
    )


def test_drift_and_findings_are_told():
    """What the next boot gives, the rule that fired, and which command tells more."""
    drift = Drift("range", "15000-64000", "15000-65000", "/etc/sysctl.conf", 3)
    finding = Finding("warning", "listener_in_range", "8080 listens.", "Reserve it.")

    actual = status.as_text(examples.status(drift=[drift], findings=[finding]), Style(width=0))

    assert (
        "Drift: range is 15000-64000, the next boot gives 15000-65000 "
        "(/etc/sysctl.conf:3).\n"
        "Warning: 8080 listens.\n"
        "What to do: portroom doctor\n"
    ) in actual


def test_drift_without_a_line_names_the_default():
    """What somebody wrote by hand is lost, and the other settings are counted."""
    drift = [
        Drift("range", "15000-64000", "32768-60999", None, None),
        Drift("reserved", "8080", "", None, None),
        Drift("tcp_tw_reuse", "1", "2", None, None),
    ]

    actual = status.as_text(examples.status(drift=drift), Style(width=0))

    assert (
        "Drift: range is 15000-64000, the next boot gives the kernel's default 32768-60999: "
        "no line sets it. 2 other settings drift: portroom settings.\n"
    ) in actual
    assert actual.count("Drift") == 1


def test_boot_conflicts_are_one_sentence():
    """The programs, what each gives, and where more is told."""
    conflicts = [
        BootConflict("range", {"systemd": "15000-65000", "procps": "15000-64000"}),
        BootConflict("reserved", {"systemd": "", "procps": "8080", "tuned": None}),
    ]

    actual = status.as_text(examples.status(boot_conflicts=conflicts[:1]), Style(width=0))
    both = status.as_text(examples.status(boot_conflicts=conflicts), Style(width=0))
    other = status.as_text(examples.status(boot_conflicts=conflicts[1:]), Style(width=0))

    text = (
        "Boot: systemd-sysctl and sysctl --system differ on range: 15000-65000 / 15000-64000 "
        "- portroom boot --key range."
    )
    assert text + "\n" in actual
    assert text + " So do they on 1 other setting.\n" in both
    assert (
        "systemd-sysctl, sysctl --system and tuned differ on reserved: none / 8080 / by machine"
    ) in other


def test_a_long_list_is_cut_in_its_sentence():
    """Ten thousand reserved ports are still one line or two."""
    many = ",".join(map(str, range(1, 20_000, 2)))
    drift = Drift("reserved", many, "", None, None)

    actual = status.as_text(examples.status(drift=[drift]), Style(width=0, ascii=True))
    (line,) = [line for line in actual.splitlines() if line.startswith("Drift")]

    assert "reserved is 1,3,5,7,9,11,13,15,17,19~" in line
    assert ",19999, the next boot gives the kernel's default none" in line
    assert len(line) < 160


def test_hostile_files_do_not_act():
    """Names of files and values of lines are other people's text."""
    drift = Drift("range", "\x1b[2J", "\n", "/etc/\x1b[31m\u202e", 1)

    actual = status.as_text(examples.status(drift=[drift]), Style(width=0))

    assert r"range is \x1b[2J, the next boot gives \x0a (/etc/\x1b[31m\u202e:1)." in actual


def test_colour_never_carries_a_meaning_alone():
    """Without its colours, the coloured screen is the plain one."""
    plain = status.as_text(examples.status(), Style(width=80))
    coloured = status.as_text(examples.status(), Style(width=80, colour=True))

    for code in ("1", "2", "31", "32", "33", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")

    assert plain == "\n".join(line.rstrip() for line in coloured.split("\n"))


def test_ascii_is_ascii():
    """With plain glyphs no other character is drawn."""
    actual = status.as_text(examples.status(), Style(width=80, ascii=True))

    assert actual.isascii()


def test_a_namespace_is_one_line_of_csv():
    """Range and tightest key; empty where there is none."""
    answers = [
        examples.status(),
        examples.status([], where=examples.netns("db"), use=None),
    ]

    rows = list(csv.DictReader(io.StringIO(status.as_csv_text(answers))))

    assert rows[0]["eligible_ports"] == "28232"
    assert rows[0]["remote_port"] == "8443"
    assert rows[1]["netns"] == "db"
    assert rows[1]["range_first"] == rows[1]["remote_port"] == ""


def test_a_namespace_is_one_json_line():
    """The whole answer."""
    actual = json.loads(status.as_jsonl(examples.status()))

    assert actual["range"]["ports"] == 28_232
