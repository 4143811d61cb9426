"""Who waits at a terminal sees what is done and for how long, and nothing of it stays."""

import os
import pty
import signal
import subprocess
import time

import pytest

from tests.e2e.faults import CLEAN, COMMAND

CLEAR = "\r\x1b[K"

WATCHED = "watching the counters"

FULL = os.environ.get("PORTROOM_TESTS") == "full"

DEADLINE_S = 30.0


class Terminal:
    """A command whose stderr is a terminal, and its controlling one; stdout is not."""

    def __init__(self, *words, **variables):
        """Start it."""
        reading, writing = os.pipe()
        self.answer = reading
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.dup2(writing, 1)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.execvpe(COMMAND[0], [*COMMAND, *words], CLEAN | {"TERM": "xterm"} | variables)
        os.close(writing)
        self.seen = ""

    def read(self):
        """Take what was written to the terminal; say whether there may be more."""
        try:
            self.seen += os.read(self.terminal, 65_536).decode()
        except OSError:  # EIO: nobody holds the other end any more
            return False
        return True

    def ended(self):
        """Return the exit status and what the terminal saw."""
        until_s = time.monotonic() + DEADLINE_S
        while self.read():
            assert time.monotonic() < until_s, self.seen
        _, status = os.waitpid(self.pid, 0)
        os.close(self.terminal)
        os.close(self.answer)
        return os.waitstatus_to_exitcode(status), self.seen


def lines(seen):
    """Return what was drawn, one after the other."""
    return [line for line in seen.split(CLEAR) if line]


def test_a_wait_is_shown_and_gone_at_its_end():
    """How long it is and how much of it passed; the terminal is left as it was."""
    status, seen = Terminal("doctor", "--for", "1.2").ended()

    assert 0 == status
    assert any(line.startswith(WATCHED) and "s of 2 s" in line for line in lines(seen)), seen
    assert "█" in seen
    assert seen.endswith(CLEAR)
    # Nothing else was switched: no cursor to be shown again, no colours, no second line.
    assert "\x1b" not in seen.replace(CLEAR, "")
    assert "\n" not in seen


def test_ctrl_c_leaves_nothing():
    """130 at once, and the line is gone."""
    running = Terminal("doctor", "--for", "3600")
    until_s = time.monotonic() + DEADLINE_S
    while WATCHED not in running.seen:
        assert running.read()
        assert time.monotonic() < until_s
    os.write(running.terminal, b"\x03")
    status, seen = running.ended()

    assert 130 == status
    assert "" == seen.rpartition(CLEAR)[2].strip(), seen


TERMINALS = {
    "narrow": ([], {"COLUMNS": "22"}, "█", WATCHED[:21]),
    "ascii": (["--ascii"], {}, "█", "#"),
    "locale": ([], {"LC_ALL": "POSIX"}, "█", "#"),
    "narrower": ([], {"COLUMNS": "10"}, WATCHED, "…"),
    "dumb": ([], {"TERM": "dumb"}, WATCHED, ""),
    "no colour": ([], {"NO_COLOR": "1"}, "\x1b[3", "█"),
}
"""Words, variables, what must not be drawn then, and what must."""


@pytest.mark.parametrize("kind", TERMINALS if FULL else ["narrow"])
def test_it_is_as_the_terminal_can(kind):
    """ASCII alone where that is asked for or the terminal knows no more; it never wraps."""
    words, variables, absent, present = TERMINALS[kind]
    status, seen = Terminal("doctor", "--for", "0.7", *words, **variables).ended()

    assert 0 == status
    assert absent not in seen
    assert present in seen
    if "COLUMNS" in variables:
        assert max(map(len, lines(seen))) < int(variables["COLUMNS"])


def test_what_is_quick_draws_nothing():
    """A line that flashes up is noise."""
    assert (0, "") == Terminal("boot").ended()


def test_nobody_is_shown_anything_who_does_not_look():
    """A file that takes stderr has what is told, and no line."""
    done = subprocess.run(
        [*COMMAND, "doctor", "--for", "0.6"], capture_output=True, env=CLEAN, check=True
    )

    assert b"" == done.stderr
