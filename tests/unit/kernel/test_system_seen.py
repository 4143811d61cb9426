"""What runs here is told by the system itself, or not at all."""

import os

import pytest

from portroom.kernel.system_seen import parse_os_release, read_system


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PRETTY_NAME='Arch Linux'\n", "Arch Linux"),
        ("NAME=x\nPRETTY_NAME=Alpine\\ Linux\n", "Alpine Linux"),
        ('PRETTY_NAME="a \\"b\\""\n', 'a "b"'),
        ("PRETTY_NAME=\n", None),
        ('PRETTY_NAME="not ended\n', None),
        ("", None),
    ],
)
def test_a_distribution_names_itself(text, expected):
    """As a shell would read it; what no shell could is no name."""
    assert expected == parse_os_release(text)


def test_a_folder_that_is_no_system_has_no_name(tmp_path):
    """The kernel and Python are those that run, whatever the folder holds."""
    seen = read_system(os.fsencode(tmp_path), proc=str(tmp_path))

    assert (None, None) == (seen.distribution, seen.uptime_s)
    assert os.uname().release in seen.kernel


def test_a_file_of_etc_goes_before_that_of_usr(tmp_path):
    """A link to the other one is followed inside the folder."""
    for place, name in (("etc", "mine"), ("usr/lib", "theirs")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "os-release").write_text(f"PRETTY_NAME={name}\n")

    assert "mine" == read_system(os.fsencode(tmp_path)).distribution

    (tmp_path / "etc/os-release").unlink()
    (tmp_path / "etc/os-release").symlink_to("/usr/lib/os-release")

    assert "theirs" == read_system(os.fsencode(tmp_path)).distribution
