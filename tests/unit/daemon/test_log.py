"""One event is one line, whatever it quotes, and nobody who does not read holds it up."""

import datetime
import fcntl
import json
import os
import pty

import pytest

from portroom.daemon.log import MOST_BYTES, Log, is_journal

AT = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
HOSTILE = 'a\n<0>b\r\x1b[2J\u202e"\u2028c\udcff{}'


def logged(*events, form="text", environment=None):
    """Return the lines that a log writes of events."""
    reading, writing = os.pipe()
    log = Log(form, environment, writing, lambda: AT)
    for event in events:
        log.tell(*event)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        return lines.read()


def test_a_line_says_when_how_bad_and_what():
    """A person reads it without a manual."""
    assert "2026-03-01 12:00:00 UTC warning: It is full.\n" == logged(
        ("warning", "full", "It is full.")
    )


def test_the_journal_has_the_level_and_knows_the_time_itself():
    """A line begins with the priority that systemd strips and files."""
    reading, writing = os.pipe()
    status = os.fstat(writing)
    log = Log("text", {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, writing, lambda: AT)
    log.tell("error", "full", "It is full.")
    written = os.read(reading, 1000)
    os.close(reading)
    os.close(writing)

    assert b"<3>It is full.\n" == written


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_text_is_one_line_in_which_nothing_acts(form):
    """Neither the end of a line, nor an escape, nor a turn of direction gets through."""
    text = logged(("notice", "seen", f"Process {HOSTILE}."), form=form)

    assert 1 == text.count("\n")
    assert text[:-1].isprintable()
    assert text.isascii() or "json" != form


def test_json_has_the_event_as_a_word():
    """A program tells events apart without reading sentences."""
    line = logged(("notice", "reloaded", 'It says "a".'), form="json")

    assert {
        "at": "2026-03-01T12:00:00+00:00",
        "level": "notice",
        "event": "reloaded",
        "message": 'It says "a".',
    } == json.loads(line)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("letter", ["x", "é", "日", "\x1b", "\U0001f600", '"'])
def test_a_line_is_written_at_once_however_long_its_text(form, letter):
    """It has no more bytes than a pipe takes in one piece."""
    text = logged(("info", "seen", letter * 100_000), form=form)

    assert len(text.encode()) <= MOST_BYTES + 1


def test_who_does_not_read_holds_nothing_up_and_is_told_of_what_was_lost():
    """Lines that nobody takes are lost and counted, and the count is told later."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
    log = Log("text", None, writing, lambda: AT)
    for number in range(400):
        log.tell("info", "seen", f"Event {number}.")
    lost = log.lost_lines
    os.read(reading, 1 << 20)
    log.tell("info", "seen", "The last one.")
    told = os.read(reading, 1 << 20).decode().splitlines()
    os.close(reading)
    os.close(writing)

    assert 0 < lost < 400
    assert 2 == len(told)
    assert f"{lost} lines before this one were lost" in told[0]
    assert "2026-03-01 12:00:00 UTC info: The last one." == told[1]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_log_that_is_closed_ends_nothing():
    """Neither a pipe without a reader nor a closed descriptor raises."""
    reading, writing = os.pipe()
    os.close(reading)
    log = Log("text", None, writing)
    log.tell("info", "seen", "Something.")
    os.close(writing)
    log.tell("info", "seen", "Something.")

    assert 2 == log.lost_lines
    assert not is_journal({"JOURNAL_STREAM": "1:2"}, writing)


def test_a_terminal_that_is_gone_is_known():
    """Only that: a pipe without a reader is no terminal."""
    ours, theirs = pty.openpty()
    log = Log("text", None, theirs)
    before = log.is_hung_up()
    os.close(ours)
    after = log.is_hung_up()
    os.close(theirs)
    reading, writing = os.pipe()
    os.close(reading)
    pipe = Log("text", None, writing).is_hung_up()
    os.close(writing)

    assert (False, True, False) == (before, after, pipe)
