"""Whether a terminal is remote is told by its environment, or by the processes above."""

import os

import pytest

from portroom.kernel.terminal import is_remote, parse_parent


def chain(folder, *commands):
    """Write a procfs in which this process has parents of these names, the nearest first."""
    numbers = [os.getpid(), *range(500_000, 500_000 + len(commands) - 1), 1]
    for place, command in enumerate(commands):
        path = folder / str(numbers[place])
        path.mkdir()
        fields = " ".join(["0"] * 30)
        parent = numbers[place + 1]
        path.joinpath("stat").write_text(f"{numbers[place]} ({command}) S {parent} {fields}")
    return str(folder)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (("python", "bash", "login"), False),
        (("python", "sudo", "bash", "sshd-session", "sshd"), True),
        (("python", "sudo", "bash", "sshd"), True),
        (("python", "bash", "in.telnetd"), True),
        (("python", "sshd) S 1 (x", "bash"), False),
    ],
)
def test_sudo_does_not_hide_ssh(tmp_path, commands, expected):
    """sudo drops the variable, but not the processes above."""
    assert expected == is_remote({}, chain(tmp_path, *commands))


@pytest.mark.parametrize("name", ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"])
def test_the_variables_of_ssh_tell(tmp_path, name):
    """Whatever the processes are; an empty one says nothing."""
    assert is_remote({name: "192.0.2.7 40000 192.0.2.1 22"}, str(tmp_path))
    assert not is_remote({name: ""}, str(tmp_path))


def test_a_loop_or_a_hidden_parent_ends_the_search(tmp_path):
    """No search goes on for ever, and no error reaches anybody."""
    folder = tmp_path / str(os.getpid())
    folder.mkdir()
    folder.joinpath("stat").write_text(f"1 (python) S {os.getpid()} " + "0 " * 30)

    assert not is_remote({}, str(tmp_path))
    assert not is_remote({}, str(tmp_path / "nowhere"))


@pytest.mark.parametrize("raw", [b"", b"7 (a) S", b"7 (a", b"7 (a) S x"])
def test_what_is_no_stat_is_an_error(raw):
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"expected|invalid"):
        parse_parent(raw)
