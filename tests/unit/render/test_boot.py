"""What decides at the next boot is written for people, for spreadsheets and for programs."""

import csv
import io
import json
import re

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace

from portroom.model.facts.boot import AFTER, BEFORE, PROCESS, TRACE, BootWriter, Tuned
from portroom.model.facts.boot_answer import Boot
from portroom.model.facts.gaps import Gap
from portroom.model.facts.settings import RANGE_KEY, SETTINGS, setting_named
from portroom.model.facts.snapshot import Snapshot
from portroom.model.facts.sysctl_files import FIFO, SysctlFile, Unseen
from portroom.model.laws.boot_decisions import boot_answer
from portroom.model.laws.boot_doubts import Asked
from portroom.model.laws.next_boot import KEYS, next_boot
from portroom.render import schema
from portroom.render.boot import CSV_COLUMNS, as_csv_text, as_json, as_jsonl, as_text
from portroom.render.units import Style, columns
from tests.unit.made_boot import ADVICE, FULL_WITH_TUNED, boot, program
from tests.unit.render.examples import AT, HOST

DROP_IN = b"/etc/sysctl.d/net.ipv4.ip_local_port_range.conf"
ARTICLE = boot(
    {DROP_IN: ADVICE, b"/etc/sysctl.conf": b"net.ipv4.ip_local_port_range = 15000 64000\n"},
    by=program(evidence="process 1 is systemd"),
)
LONG_NAME = b"/etc/sysctl.d/" + b"x" * 240 + b".conf"
HOSTILE = boot(
    {
        b"/etc/sysctl.d/\x1b[31m\n\xe2\x80\xae.conf": b"net.ipv4.tcp_tw_reuse = \x1b[2J\x07\n",
        LONG_NAME: b"net.ipv4.ip_local_reserved_ports = " + b",".join([b"1"] * 900) + b"\n",
    },
    by=program(evidence="process 1 is '\x1b[31m'"),
)
STATE = next_boot(boot()).course.state
SNAPSHOT = Snapshot(host="web1", boot_id="b", taken_at=AT, netns=HOST)


def answer(facts, *keys, program=None, **current):
    """Return the answer of a host with the kernel's defaults but for what is *current*."""
    by_machine = {row.key: "4096" for row in SETTINGS if row.default is None}
    held = STATE | by_machine | current
    wanted = keys or KEYS
    return boot_answer(SNAPSHOT, facts, Asked(wanted, held, {*KEYS, *keys}), program)


def told(facts, *keys, width=80, **asked):
    """Return the text of an answer."""
    return as_text(answer(facts, *keys, **asked), Style(width))


def test_the_article_is_made_plain():
    """
    Two files, two programs, two ranges: which one decides, why, and what the other gives.
    """
    expected = """\
After the next boot range is 15000 65000, by
/etc/sysctl.d/net.ipv4.ip_local_port_range.conf:1. Now it is 32768 60999.
Programs differ.
Rules of systemd 252, because process 1 is systemd.

range (net.ipv4.ip_local_port_range)
  applied     15000 65000  /etc/sysctl.d/net.ipv4.ip_local_port_range.conf:1
  unread      15000 64000  /etc/sysctl.conf:1: systemd does not read
                           /etc/sysctl.conf
                           Move the line to a file such as
                           /etc/sysctl.d/90-ports.conf.
  Programs differ: sysctl --system leaves 15000 64000, by /etc/sysctl.conf:1.

web1, namespace host, 2026-03-01 12:00:00 UTC.
"""
    assert expected == told(ARTICLE, RANGE_KEY)


def test_all_settings_stand_in_a_table():
    """
    Of each what it will be, what it is, who decides, and what to look at.
    """
    text = told(ARTICLE, width=0)

    head, row, reserved = text.splitlines()[3:6]
    assert ["NAME", "NEXT BOOT", "NOW", "DECIDED BY", "NOTE"] == re.split("  +", head)
    assert [
        "range",
        "15000 65000",
        "32768 60999",
        DROP_IN.decode() + ":1",
        "programs differ, line without effect, not as now",
    ] == re.split("  +", row)
    assert ["reserved", "none", "none", "kernel default"] == re.split("  +", reserved)
    assert text.startswith("1 of 16 settings is decided by a file. Programs differ on range.\n")


def test_only_what_has_something_to_tell_has_its_lines():
    """
    A setting that no line names is in the table and nowhere else.
    """
    text = told(ARTICLE)

    assert [f"range ({RANGE_KEY})"] == re.findall(r"(?m)^\w+ \(.*\)$", text)


def test_nothing_is_said_in_one_sentence():
    """
    Where no file names a setting the kernel's defaults stay, and the table shows them.
    """
    text = told(boot())

    assert text.startswith(
        "No sysctl file names any of these settings: the kernel's defaults stay.\n"
    )
    assert 16 == text.count("kernel default\n")
    alone = told(boot(), RANGE_KEY)
    assert alone.startswith("No sysctl file names range: the kernel's default 32768 60999 stays.\n")


def test_a_file_that_only_fails_leaves_the_default():
    """
    That a line is there and does nothing is said first.
    """
    text = told(boot({DROP_IN: b"net.ipv4.ip_local_port_range = 9 8\n"}), RANGE_KEY)

    assert text.startswith("No line that names range takes effect: the kernel's default")
    assert "refused     9 8  /etc/sysctl.d/net" in text
    assert "the last port 8 lies below the first, 9" in " ".join(text.split())


def test_lines_without_effect_are_said_first():
    """
    So that nobody takes files that only fail for files that are not there.
    """
    text = told(boot({DROP_IN: b"net.ipv4.ip_local_port_range = 9 8\n"}))

    assert text.startswith(
        "No file decides any of the 16 settings. Lines without effect name range.\n"
    )


def test_the_first_sentence_says_what_it_rests_on():
    """
    Where a directory was not seen, or nothing is known to apply the files, no value is claimed.
    """
    unseen = (Unseen(b"/etc/sysctl.d", "cannot be listed"),)
    nobody = program(None)

    assert told(boot(unseen=unseen), RANGE_KEY, width=0).startswith(
        "As far as was seen, no sysctl file names range: the kernel's default"
    )
    assert told(replace(ARTICLE, program=nobody), RANGE_KEY, width=0).startswith(
        "If systemd-sysctl applies the files, after the next boot range is"
    )
    assert told(boot(by=nobody), RANGE_KEY).startswith("No sysctl file names range")


def test_wide_cuts_no_value_of_a_sentence():
    """
    A long list is cut once in a sentence, by one ellipsis, and not at all if wide.
    """
    ports, reserved = ",".join(map(str, range(1, 200, 2))), setting_named("reserved").key
    facts = boot({DROP_IN: f"net.ipv4.ip_local_reserved_ports = {ports}\n".encode()})
    narrow = told(facts, reserved, width=40)

    assert 1 == narrow.partition(", by\n")[0].count("…")
    assert f"reserved is {ports}, by" in as_text(answer(facts, reserved), Style(0, wide=True))


def test_a_value_in_doubt_is_marked():
    """
    A FIFO may hold any line: the table says uncertain, and the end says why.
    """
    facts = boot({b"/etc/sysctl.d/1.conf": SysctlFile(b"/etc/sysctl.d/1.conf", FIFO)})
    text = told(facts)

    assert 16 == text.count("  uncertain\n")
    assert "Not seen: /etc/sysctl.d/1.conf: is a FIFO" in text


def test_a_value_that_is_not_as_written_is_marked():
    """
    The table has a word for it, and the line a reason and what to write.
    """
    text = told(boot({DROP_IN: b"net.ipv4.ip_local_port_range = 015000 064000\n"}), width=0)

    row = next(line for line in text.splitlines() if line.startswith("range "))
    assert "  6656 26624  " in row
    assert row.endswith("  not as written, not as now")
    assert "\n                             Write 15000 64000.\n" in text


def test_what_is_as_written_has_no_remedy():
    """
    A line that decides, and one that loses to it, are told without advice.
    """
    facts = boot({b"/etc/sysctl.d/1.conf": ADVICE, b"/etc/sysctl.d/2.conf": ADVICE + b"#"})
    text = told(facts, RANGE_KEY)

    assert "not as written" not in told(facts)
    assert "Write" not in text


def test_a_redacted_proof_is_a_sentence():
    """
    A Snapshot that was redacted says which rules, and not how they are known.
    """
    redacted = boot({DROP_IN: ADVICE}, by=program(evidence="redacted"))

    assert "Rules of systemd 252; how that is known is redacted.\n" in told(redacted)


def test_an_absent_sysctl_is_no_default():
    """
    It holds nothing, now or later.
    """
    here = {key: STATE[key] for key in KEYS if key != RANGE_KEY}
    lacking = boot_answer(SNAPSHOT, ARTICLE, Asked(KEYS, here, here))
    row = as_text(lacking, Style(120)).splitlines()[4]

    assert re.match(r"range +- +- +- +absent", row)
    alone = told(boot(), "kernel.nope", width=0)
    assert "kernel.nope" in alone.splitlines()[0]


def test_what_systemd_raises_is_no_default():
    """
    A process that sets it before the files are applied stands in place of the kernel.
    """
    raised = BootWriter(
        kind=PROCESS, name="systemd", key="fs.nr_open", value=None, file=None, line=None,
        when=BEFORE, sentence="systemd runs: fs.nr_open is raised.",
    )  # fmt: skip
    text = told(boot(writers=(raised,)), width=0)

    row = next(line for line in text.splitlines() if line.startswith("nr_open"))
    assert ["nr_open", "not known", "1048576", "systemd", "others write"] == re.split("  +", row)
    assert "  systemd runs: fs.nr_open is raised.\n" in text
    assert "it is what systemd sets" in told(boot(writers=(raised,)), "fs.nr_open")


def test_other_writers_are_told_with_their_value():
    """
    A line of a script is a sentence, and the value that it writes another.
    """
    trace = BootWriter(
        kind=TRACE, name="rc.local", key=RANGE_KEY, value="1024 65535", file="/etc/rc.local",
        line=4, when=AFTER, sentence="/etc/rc.local:4, run by rc.local, may set it.",
    )  # fmt: skip
    text = told(boot(writers=(trace,)), width=0)

    assert "Beside the boot program, these may set them:\n" in text
    assert "run by rc.local, may set it. The value there is 1024 65535.\n" in text


def test_lines_are_grouped_by_who_reads_them():
    """
    Where tuned comes last, the same file is read twice, and each time has its outcome.
    """
    tuned = Tuned(version=(2, 20), starts=True, reapplies=True)
    text = told(replace(ARTICLE, tuned=tuned), RANGE_KEY, width=0)

    readers = re.findall(r"(?m)^  ([\w-]+):$", text)
    assert ["systemd-sysctl", "tuned"] == readers
    assert ", by /etc/sysctl.conf:1: tuned writes it later" in text


def test_many_lines_are_cut_to_those_that_tell_most():
    """
    Ten, the one that decides among them, and how many there are more; wide has all.
    """
    files = {
        b"/etc/sysctl.d/%03d.conf" % number: b"net.ipv4.tcp_tw_reuse = 1\n" for number in range(50)
    }
    key = "net.ipv4.tcp_tw_reuse"
    text = told(boot(files, by=program("procps", 4, 0, 2)), key)

    assert 9 == text.count("  overridden  ")
    assert "  applied     1  /etc/sysctl.d/049.conf:1\n" in text
    assert "and 40 lines more: -o wide tells all." in text
    wide = as_text(answer(boot(files), key), Style(80, wide=True))
    assert 49 == wide.count("  overridden  ")


@pytest.mark.parametrize("facts", [ARTICLE, HOSTILE, FULL_WITH_TUNED, boot()])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 132])
def test_no_line_is_wider_than_the_terminal(facts, width):
    """
    Long paths and values are cut, every sentence is wrapped.
    """
    for keys in ((), (RANGE_KEY,), ("net.ipv4.ip_local_reserved_ports",)):
        # What could not be seen is told by a screen of its own.
        lines = told(replace(facts, gaps=()), *keys, width=width).splitlines()

        assert width >= max(map(columns, lines))


def test_a_long_key_is_cut_too():
    """
    Any sysctl may be asked for, whatever its length.
    """
    key = "net.ipv4.conf." + "x" * 50 + ".rp_filter"
    lines = told(boot({DROP_IN: f"{key} = 1".encode()}), key, width=40).splitlines()

    assert 40 >= max(columns(line) for line in lines if not line.startswith(("Not seen", "  net")))


def test_wide_cuts_nothing():
    """
    The whole path and every reserved port are there.
    """
    text = as_text(answer(HOSTILE), Style(80, wide=True))

    assert LONG_NAME.decode() + ":1" in text
    assert ",".join(["1"] * 900) in text


def test_ascii_is_ascii():
    """
    Cut texts too.
    """
    assert as_text(answer(HOSTILE), Style(60, ascii=True)).isascii()


def test_colour_only_repeats_what_words_say():
    """
    Without its colours a coloured text is the plain one.
    """
    for facts in (ARTICLE, HOSTILE, FULL_WITH_TUNED):
        coloured = as_text(answer(facts), Style(80, colour=True))

        assert as_text(answer(facts), Style(80)) == re.sub("\x1b\\[[0-9]+m", "", coloured)
        assert coloured != re.sub("\x1b\\[[0-9]+m", "", coloured)


def test_hostile_names_and_values_do_not_act():
    """
    Names of files, values and commands come from others, in every format.
    """
    hostile = answer(HOSTILE)
    texts = [as_text(hostile, Style(80)), as_text(hostile, Style(80, wide=True))]
    texts += [as_csv_text([hostile]), as_jsonl(hostile), as_json(hostile)]

    for text in texts:
        assert text.replace("\n", "").isprintable()
        assert "/etc/sysctl.d/\n" not in text
    assert "/etc/sysctl.d/\\x1b[31m\\x0a\\u202e.conf:1" in texts[0]


def test_a_snapshot_without_the_part_says_so():
    """
    One sentence and the Gap, no table of guesses.
    """
    text = as_text(boot_answer(SNAPSHOT, Gap("boot", "not in the file"), Asked(KEYS)), Style(80))

    assert text.startswith("What decides at the next boot is not known.\n\nNot seen: boot:")
    assert "kernel default" not in text


def test_json_of_one_sysctl_is_flat():
    """
    The fields that programs rely on stand side by side, in this order.
    """
    found = json.loads(as_json(answer(ARTICLE, RANGE_KEY)))

    assert (
        "schema_version host taken_at netns gaps program key value winner candidates "
        "programs_differ others name current default exists program_version evidence notes "
        "writers root"
    ).split() == list(found)
    assert {
        "program": "systemd",
        "key": RANGE_KEY,
        "value": "15000 65000",
        "winner": {"file": DROP_IN.decode(), "line": 1},
        "programs_differ": True,
        "others": {
            "procps": {"value": "15000 64000", "winner": {"file": "/etc/sysctl.conf", "line": 1}}
        },
    } == {
        name: found[name]
        for name in ("program", "key", "value", "winner", "programs_differ", "others")
    }
    assert [
        ("15000 65000", "applied", None),
        ("15000 64000", "unread", None),
    ] == [(line["value"], line["outcome"], line["by"]) for line in found["candidates"]]


def test_json_of_several_sysctls_is_a_list():
    """
    Header and program once, and the same fields for each key.
    """
    found = json.loads(as_json(answer(ARTICLE)))

    assert list(KEYS) == [one["key"] for one in found["keys"]]
    assert found["keys"][1]["value"] is None
    assert [] == found["keys"][1]["candidates"]


@pytest.mark.parametrize("facts", [ARTICLE, HOSTILE, FULL_WITH_TUNED, Gap("boot", "none")])
def test_json_is_valid_and_complete(facts):
    """
    Both forms hold to the shipped schema, and several keys survive as they were.
    """
    rules = json.loads(schema.as_json_schema("boot"))
    several = answer(facts)

    jsonschema.validate(json.loads(as_json(several)), rules)
    jsonschema.validate(json.loads(as_json(answer(facts, RANGE_KEY))), rules)
    assert several == msgspec.json.decode(as_json(several), type=Boot)


def test_json_lines_are_one_sysctl_each():
    """
    Each line is what is told of that sysctl alone.
    """
    lines = as_jsonl(answer(ARTICLE)).splitlines()

    assert len(KEYS) == len(lines)
    assert json.loads(as_json(answer(ARTICLE, RANGE_KEY))) == json.loads(lines[0])


def test_csv_has_a_line_a_line():
    """
    One for each line of a file that names a sysctl, one for a sysctl that none names.
    """
    rows = list(csv.DictReader(io.StringIO(as_csv_text([answer(ARTICLE)]))))

    assert list(CSV_COLUMNS) == list(rows[0])
    assert len(KEYS) + 1 == len(rows)
    assert [("15000 65000", "applied"), ("15000 64000", "unread"), ("", "")] == [
        (row["candidate_value"], row["outcome"]) for row in rows[:3]
    ]
    assert ("15000 65000", DROP_IN.decode(), "1", "true") == tuple(
        rows[0][name] for name in ("value", "winner_file", "winner_line", "programs_differ")
    )
