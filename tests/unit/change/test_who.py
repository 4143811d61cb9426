"""Who makes a change is what the kernel knows, in bounded length."""

import os
import pty
from pathlib import Path

import msgspec

from portroom.change.who import read_who
from tests.e2e.faults import NOBODY, needs_root
from tests.kernel.harness import in_child


def made_proc(folder, **files):
    """Return a procfs that holds these files of the process itself."""
    (folder / "self").mkdir()
    for name, content in files.items():
        (folder / "self" / name).write_bytes(content)
    return str(folder)


def test_the_process_itself_is_told():
    """
    User, process and command line are those that others see.
    """
    who = read_who()

    words = Path("/proc/self/cmdline").read_bytes().decode().removesuffix("\0").split("\0")
    assert (os.geteuid(), os.getpid()) == (who.uid, who.pid)
    assert words[:3] == list(who.command[:3])


def test_who_logged_in_is_known_after_sudo(tmp_path):
    """
    The login uid stays; a name is told if there is one.
    """
    proc = made_proc(tmp_path, loginuid=b"54321", cmdline=b"sudo\0")

    who = read_who(proc)

    assert (54321, "") == (who.login_uid, who.login_user)


def test_nobody_logged_in(tmp_path):
    """
    So says the kernel of services, and one without audit says nothing.
    """
    proc = made_proc(tmp_path, loginuid=b"4294967295", cmdline=b"a\0")
    unset = read_who(proc).login_uid
    (tmp_path / "self/loginuid").unlink()

    assert (None, None, "") == (unset, read_who(proc).login_uid, read_who(proc).login_user)


def test_a_command_line_is_bounded(tmp_path):
    """
    However long it is, an entry stays short; bytes of any kind are kept as text.
    """
    proc = made_proc(tmp_path, cmdline=b"\0".join([b"\x1b\xff" + b"a" * 1000] * 500) + b"\0")

    who = read_who(proc)

    assert "\x1b\\xffaaa" == who.command[0][:8]
    assert len(who.command) == 65
    assert len(msgspec.json.encode(who)) < 20_000


def test_empty_words_are_kept(tmp_path):
    """
    A line tells what was typed, word by word.
    """
    proc = made_proc(tmp_path, cmdline=b"portroom\0set\0\0x\0\0")

    assert ("portroom", "set", "", "x", "") == read_who(proc).command


def test_without_procfs_python_knows_the_words(tmp_path):
    """
    What is missing is left out, and nothing fails.
    """
    who = read_who(str(tmp_path))

    assert (None, True) == (who.login_uid, len(who.command) > 0)


def test_the_terminal_is_told():
    """
    That of stdin, stdout or stderr, whichever is one; "" for none.
    """

    def job():
        """Have a terminal on one descriptor after the other."""
        nothing = os.open(os.devnull, os.O_RDWR)
        _, side = pty.openpty()
        seen = []
        for number in range(4):
            for descriptor in range(3):
                os.dup2(side if descriptor == number else nothing, descriptor)
            seen.append(read_who().terminal)
        return seen, os.ttyname(side)

    seen, name = in_child(job)

    assert [name, name, name, ""] == seen


@needs_root
def test_another_user_is_told_by_name():
    """
    The effective one, whose rights count.
    """

    def job():
        """Become nobody."""
        os.seteuid(NOBODY)
        return read_who()

    who = in_child(job)

    assert (NOBODY, "nobody") == (who.uid, who.user)
