"""Text of other processes: it never acts, whatever it is shown as."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.e2e.faults import alone, ask, needs_root
from tests.kernel.bystanders import bystander, named, own_namespace
from tests.kernel.harness import set_up
from tests.kernel.sockets import connected, listener

pytestmark = needs_root

NAMES = {
    "escape": b"\x1b[2J\x1b]0;x\x07",
    "newline": b"a\nuser: root\r\n",
    "stat": b"x) S 1 1 (y",
    "bidi": "a\u202egnp\u2066".encode(),
    "invisible": "a\u200bb\u2028c".encode(),
    "invalid": b"\xff\xfe\x9b31m\xc3",
    "formula": b"=1+1",
    "command": b"@SUM(A1)",
    "quotes": b'",";\'"',
    "cgroup": b"/../docker/\n0::",
    "tab": b"\t|\t-x",
}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
QUESTIONS = (("status",), ("headroom", "--owners"), ("sessions",))
FORMATS = ("table", "json", "csv")
ROWS = {"status": 1, "headroom": 1, "sessions": 3}


def hold():
    """Listen, and connect to it, so that one key and three sessions are there."""
    set_up("lo")
    listener("127.0.0.1", 9000)
    connected(("127.0.0.1", 9000))


def shown(name, *questions):
    """Return the answers while a process of that name holds the sockets."""
    # The test's own process would inherit them, so the holder makes its own.
    with bystander(own_namespace, named(name), hold) as pid:
        return pid, [ask(*words, "--netns", str(pid)) for words in questions]


def acting(text):
    """Return the characters that are neither printable nor a line's end."""
    return sorted({char for char in text if not char.isprintable() and char != "\n"})


def test_wide_and_lines_are_as_safe():
    """The two formats that share their parts with the others, for the worst of names."""
    questions = [(*words, "-o", output) for words in QUESTIONS for output in ("wide", "jsonl")]
    _, endings = alone(lambda: shown(b"\x1b[2J\n\xff\xe2\x80\xae", *questions))

    for ended in endings:
        assert 0 == ended.status, ended
        assert [] == acting(ended.answer + ended.told)
        assert "\\x1b" in ended.answer or "\\u001b" in ended.answer


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_no_byte_of_a_name_acts(name):
    """In each format of each answer; JSON and CSV hold together."""
    questions = [(*words, "-o", output) for words in QUESTIONS for output in FORMATS]
    pid, endings = alone(lambda: shown(name, *questions))

    for (command, *_, output), ended in zip(questions, endings, strict=True):
        assert 0 == ended.status, ended
        assert [] == acting(ended.answer), (command, output)
        assert [] == acting(ended.told), (command, output)
        check_format(command, output, ended.answer, pid, name)


def check_format(command, output, answer, pid, name):
    """Check that a format is whole, and names the process where it has names."""
    if output == "csv":
        check_csv(list(csv.reader(io.StringIO(answer))), ROWS[command])
    elif output == "json":
        check_owners(json.loads(answer), pid, name)
    else:
        assert "\\x" in answer or "\\u" in answer or name.decode("utf-8", "replace").isprintable()


def check_csv(lines, rows):
    """Check that each record is one row, of as many fields, and no field a formula."""
    fields = [field for line in lines for field in line]

    assert rows + 1 == len(lines)
    assert 1 == len({len(line) for line in lines})
    assert [] == [field for field in fields if is_formula(field)]


def is_formula(field):
    """Say whether a spreadsheet would compute a field instead of showing it."""
    return field.startswith(FORMULA_STARTS) and not field.lstrip("-").replace(".", "").isdecimal()


def check_owners(answer, pid, name):
    """Check that JSON has the very name, invalid bytes as escapes."""
    keys = answer.get("tightest") or answer.get("keys") or answer["sessions"]
    owners = [owner for key in keys for owner in key["owners"]]
    whole = name[:15].decode("utf-8", "backslashreplace")

    assert {(pid, whole)} == {(owner["pid"], owner["command"]) for owner in owners}


def test_a_saved_name_acts_no_more_than_a_read_one(tmp_path):
    """A Snapshot keeps the name as it is, and every answer from it escapes."""
    file = tmp_path / "saved"
    words = ("snapshot", "--sessions", "--out", str(file))
    alone(lambda: shown(NAMES["escape"], words))

    for question in QUESTIONS:
        for output in ("table", "csv", "json"):
            ended = ask(*question, "-o", output, "--snapshot", str(file))

            assert 0 == ended.status, ended
            assert [] == acting(ended.answer + ended.told)
            assert "x1b" in ended.answer or "u001b" in ended.answer or question == ("status",)


def test_the_name_of_a_namespace_does_not_act():
    """Files in /run/netns may be called anything that a file may."""

    def job():
        Path("/run/netns").mkdir()
        path = b"/run/netns/\x1b[31m\n=x\xff"
        Path(path.decode("utf-8", "surrogateescape")).touch()
        with bystander(own_namespace, named(b"\x1b[1m")):
            words = [("status", "-o", output) for output in ("table", "json", "csv", "jsonl")]
            return [ask(*each, "--all-netns") for each in words]

    for ended in alone(job):
        assert 0 == ended.status, ended
        assert [] == acting(ended.answer + ended.told)


def test_a_process_is_found_by_a_hostile_name():
    """``--process`` takes the name as it is shown, wildcards included."""

    def job():
        with bystander(own_namespace, named(b"x) S 1 1 (y"), hold) as pid:
            words = "--netns", str(pid), "-o", "json"
            return pid, ask("sessions", "--process", "x) S*", *words)

    pid, ended = alone(job)
    owners = [one["owners"][0]["pid"] for one in ended.json["sessions"]]

    assert [pid, pid] == owners
