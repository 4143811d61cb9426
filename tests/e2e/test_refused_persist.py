"""A file that would not decide is refused, with the line that `portroom boot` names."""

import pytest

from tests.e2e.change_host import SYSCTL_D, on_a_host
from tests.e2e.faults import ask, needs_root

pytestmark = needs_root

RANGE, REUSE = "net.ipv4.ip_local_port_range", "net.ipv4.tcp_tw_reuse"


def write(path, *lines):
    """Write a sysctl file below a comment."""
    path.write_text("\n".join(("# by hand", *lines, "")))


def refused_by(path, line, word):
    """Return what `set --persist` and `boot` say on a host with one line."""

    def job():
        """Write the line, ask both."""
        write(path, line)
        name = word.partition("=")[0]
        return ask("set", word, "--persist"), ask("boot", "--key", name, "-o", "json")

    return on_a_host(job)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (f"{RANGE} = 1 2", "range=15000-64001"),
        (f"{RANGE} = 2000 30001", "range=15000-64001"),
        (f"{REUSE} = 7", "tw_reuse=1"),
        (f"-{REUSE}", "tw_reuse=1"),
    ],
)
def test_the_line_that_boot_names_is_named(line, word):
    """Whether the kernel takes that line or not."""
    refused, told = refused_by(SYSCTL_D / "~~~.conf", line, word)
    (last,) = told.json["candidates"]

    assert refused.status == 4
    assert (last["file"], last["line"]) == ("/etc/sysctl.d/~~~.conf", 2)
    assert "/etc/sysctl.d/~~~.conf:2" in refused.told


def test_a_link_to_sysctl_conf_is_named_as_it_is_read():
    """systemd-sysctl reads the file only where a link leads to it."""

    def job():
        """Have the link that Debian has, after every name of ours."""
        write(SYSCTL_D / "../sysctl.conf", f"{REUSE} = 0")
        (SYSCTL_D / "~~~.conf").symlink_to("../sysctl.conf")
        return ask("set", "tw_reuse=1", "--persist")

    refused = on_a_host(job)

    assert refused.status == 4
    assert "/etc/sysctl.d/~~~.conf:2 decides tcp_tw_reuse" in refused.told


@pytest.mark.parametrize("line", ["net.ipv4.tcp_tw_* = 0", f"{REUSE} = 0"])
def test_a_pattern_and_an_earlier_file_are_no_obstacle(line):
    """A line that names the key wins over one that does so by a pattern."""

    def job():
        """Write the line, keep another value, ask which decides."""
        name = "~~~.conf" if "*" in line else "10-a.conf"
        write(SYSCTL_D / name, line)
        kept = ask("set", "tw_reuse=1", "--persist-only")
        return kept, ask("boot", "--key", "tw_reuse", "-o", "json")

    kept, told = on_a_host(job)

    assert kept.status == 0
    assert told.json["value"] == "1"
