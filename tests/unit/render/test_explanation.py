"""An explanation: the answer first, then what to do, then what was ruled out and how."""

import json

import msgspec
import pytest

from portroom.model.facts.snapshot import Gap
from portroom.render import explanation
from portroom.render.explanation import title
from portroom.render.units import Style, columns
from tests.unit.render import advice_examples as made
from tests.unit.render import examples

FULL = title("key_full")
NARROW = title("narrowed_range")

SCREEN = """\
99 EADDRNOTAVAIL to 10.0.0.20:5432: connections to the same destination hold
every local port.

All 28,232 eligible ports of 10.0.0.1 towards 10.0.0.20:5432 are held: 21,517 by
TIME_WAIT.
  Let the program keep its connections, or give it a second local address.
    portroom sessions --remote 10.0.0.20:5432 --summary
  docs/causes/key_full.md

Possible: narrowed_range: gunicorn (pid 26) may have IP_LOCAL_PORT_RANGE set.
  Look at its options.
    portroom explain EADDRNOTAVAIL --pid 26
  docs/causes/narrowed_range.md

DESTINATION       HELD  FREE  OCCUPANCY         STATE      WHO
10.0.0.20:5432  28,232     0  ########   100 %  exhausted  unknown 28,232

Not decided:
  other_namespace: Other namespaces could not be entered: that needs
    CAP_SYS_ADMIN.

Ruled out:
  tuple_clash: No local port was named.
  no_source_address: 10.0.0.20 is reached from 10.0.0.1.

Not seen: namespaces: not permitted. Uncertain: causes.
web1, namespace host, 2026-03-01 12:00:00 UTC.
"""


def test_the_screen_at_80_columns():
    """The answer, evidence, what to do, the keys, and what else it could have been."""
    gap = Gap("namespaces", "not permitted", ("causes",))

    actual = explanation.as_text(made.explanation(gaps=[gap]), Style(width=80, ascii=True))

    assert actual == SCREEN


@pytest.mark.parametrize(
    ("causes", "others", "expected"),
    [
        ([made.KEY_FULL], {}, f"99 EADDRNOTAVAIL to 10.0.0.20:5432: {FULL}."),
        (
            [made.KEY_FULL, made.KEY_FULL],
            {},
            f"99 EADDRNOTAVAIL to 10.0.0.20:5432: {FULL}, and 1 more cause.",
        ),
        (
            [made.NARROWED, *made.RULED_OUT],
            {},
            f"99 EADDRNOTAVAIL to 10.0.0.20:5432: perhaps {NARROW}.",
        ),
        (
            [made.NOT_SEEN, *made.RULED_OUT],
            {},
            (
                "No cause of 99 EADDRNOTAVAIL to 10.0.0.20:5432 is found: 2 ruled out, "
                "1 could not be looked at."
            ),
        ),
        (
            made.RULED_OUT,
            {},
            "No cause of 99 EADDRNOTAVAIL to 10.0.0.20:5432 is found: 2 ruled out.",
        ),
        (
            [made.KEY_FULL],
            {"error": None, "errno": None},
            f"99 EADDRNOTAVAIL to 10.0.0.20:5432: {FULL}.",
        ),
        (
            made.RULED_OUT,
            {"error": None, "errno": None, "remote_address": None, "remote_port": None},
            "No cause of a failure is found: 2 ruled out.",
        ),
        (
            made.RULED_OUT,
            {"local_address": "2001:db8::1", "local_port": 8443, "protocol": "udp"},
            (
                "No cause of 99 EADDRNOTAVAIL over UDP to 10.0.0.20:5432 from "
                "[2001:db8::1]:8443 is found: 2 ruled out."
            ),
        ),
        (
            made.RULED_OUT,
            {"local_port": 8443, "remote_address": None, "remote_port": None},
            "No cause of 99 EADDRNOTAVAIL from *:8443 is found: 2 ruled out.",
        ),
    ],
)
def test_the_answer_is_one_sentence(causes, others, expected):
    """What fails, to where, and why: sure, perhaps, or not found."""
    actual = explanation.as_text(made.explanation(causes, **others), Style(width=0))

    assert expected == actual.splitlines()[0]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_line_fits_the_terminal_but_commands(width):
    """A command is never broken, so that it can be copied."""
    lines = explanation.as_text(made.explanation(), Style(width=width)).splitlines()

    commands = [line for line in lines if line.strip().startswith(("portroom", "sudo"))]
    assert [made.KEY_FULL.command, made.NARROWED.command] == [line.strip() for line in commands]
    assert all(columns(line) <= width for line in lines if line not in commands)


def test_the_process_asked_about_is_named():
    """Below the answer."""
    answer = made.explanation(process=examples.owner())

    lines = explanation.as_text(answer, Style(width=0)).splitlines()

    assert lines[1] == "Seen from nginx (pid 4312, nginx.service)."


def test_without_a_cause_the_next_command_is_with_what_was_not_seen():
    """What was found has its own; then, and in wide, the list has them as well."""
    undecided = made.explanation([made.NOT_SEEN, *made.RULED_OUT])
    command = f"      {made.NOT_SEEN.command}\n"

    assert command in explanation.as_text(undecided, Style(width=80))
    assert command in explanation.as_text(made.explanation(), Style(width=80, wide=True))
    assert command not in explanation.as_text(made.explanation(), Style(width=80))


@pytest.mark.parametrize(
    ("causes", "error", "expected"),
    [
        (made.RULED_OUT, "EADDRNOTAVAIL", True),
        ([made.NOT_SEEN], "EAGAIN", True),
        (made.RULED_OUT, "ETIMEDOUT", False),
        (made.RULED_OUT, None, False),
        ([made.KEY_FULL], "EADDRNOTAVAIL", False),
        ([made.NARROWED], "EADDRNOTAVAIL", False),
    ],
)
def test_what_is_not_found_may_come_back(causes, error, expected):
    """The next failure is seen as it happens, where the trace sees such ones."""
    text = explanation.as_text(made.explanation(causes, error=error), Style(width=40))

    assert expected == ("\n  portroom trace\n" in text)


def test_keys_are_shown_where_a_cause_is_about_them():
    """A port that a listener has is no matter of keys; wide has them all the same."""
    taken = made.explanation([made.cause("port_taken", "found", "nginx listens on it.")])

    assert "DESTINATION" not in explanation.as_text(taken, Style(width=80))
    assert "DESTINATION" in explanation.as_text(taken, Style(width=80, wide=True))


def test_of_many_keys_the_tightest_are_shown():
    """Wide has all of them."""
    keys = [examples.key(port=port, held=port) for port in range(1, 21)]

    short = explanation.as_text(made.explanation(keys=keys), Style(width=80))
    wide = explanation.as_text(made.explanation(keys=keys), Style(width=80, wide=True))

    assert short.count("10.0.0.9:") == explanation.MOST_KEYS
    assert "10.0.0.9:20 " in short
    assert wide.count("10.0.0.9:") == 20


def test_colour_never_carries_a_meaning_alone():
    """Without its colours, the coloured text is the plain one; what is found is red."""
    plain = explanation.as_text(made.explanation(), Style(width=80))
    coloured = explanation.as_text(made.explanation(), Style(width=80, colour=True))

    assert coloured.startswith("\x1b[31m99 EADDRNOTAVAIL")
    for code in ("1", "2", "31", "32", "33", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert plain == "\n".join(line.rstrip() for line in coloured.split("\n"))


def test_hostile_text_does_not_act():
    """Names of processes, namespaces and addresses are other people's text."""
    hostile = [
        made.cause(examples.HOSTILE, verdict, examples.HOSTILE, remedy=examples.HOSTILE,
                   command=examples.HOSTILE)
        for verdict in ("found", "possible", "unknown", "ruled_out")
    ]  # fmt: skip
    answer = made.explanation(
        hostile, remote_address=examples.HOSTILE, process=examples.owner(examples.HOSTILE)
    )

    for text in (
        explanation.as_text(answer, Style(wide=True)),
        explanation.as_text(answer, Style(width=40)),
        explanation.as_csv_text([answer]),
    ):
        assert all(line.isprintable() for line in text.split("\n"))


def test_a_cause_is_a_line():
    """Of CSV, and of JSON with the header before its fields."""
    rows = explanation.as_csv_text([made.explanation()]).splitlines()
    lines = explanation.as_jsonl(made.explanation()).splitlines()
    objects = [json.loads(line) for line in lines]

    assert rows[0] == "netns,name,verdict,errors,sentence,remedy,command,page"
    assert rows[1].startswith("host,key_full,found,EADDRNOTAVAIL,")
    assert [one["name"] for one in objects] == [row.split(",")[1] for row in rows[1:]]
    assert objects[0]["numbers"] == {"held_ports": 28_232}


def test_several_explanations_follow_one_another():
    """One command has one; whoever has several gets them in order."""
    answer, style = made.explanation(), Style(width=80)

    actual = explanation.all_as_text([answer, answer], style)

    assert explanation.as_text(answer, style) * 2 == actual


@pytest.mark.parametrize(
    ("error", "protocol", "told"),
    [
        ("EADDRNOTAVAIL", "udp", "never this error for UDP, but EAGAIN"),
        ("EAGAIN", "tcp", "never this error for TCP, but EADDRNOTAVAIL"),
        ("ETIMEDOUT", "udp", "A UDP socket waits for no answer"),
    ],
)
def test_an_error_that_the_protocol_does_not_give_is_told(error, protocol, told):
    """Else hardly anything is ruled out, without a word."""
    answer = msgspec.structs.replace(made.explanation([]), error=error, protocol=protocol)

    assert told in explanation.as_text(answer, Style(width=200))
    assert "never this error" not in explanation.as_text(made.explanation(), Style(width=200))
