"""All readers of the next boot together, and what sysctls hold now."""

import pytest

from portroom.errors import InvalidRequestError
from portroom.kernel.boot import HERE, KEYS, NO_PROGRAM, _or, read_boot, read_held
from portroom.model.facts.gaps import Gap

KEY = "net.ipv4.ip_local_port_range"


def tree_of(root, files):
    """Write files below a root."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_all_that_decides_is_read_below_the_root(tmp_path):
    """
    The program, what else writes, and the files, each with its path as seen from inside.
    """
    tree_of(
        tmp_path,
        {
            "usr/lib/systemd/systemd-sysctl": "",
            "etc/sysctl.d/50-a.conf": f"{KEY} = 15000 64000\n",
            "etc/rc.local": f"sysctl -w {KEY}='1 2'\n",
        },
    )
    facts = read_boot(str(tmp_path))

    assert str(tmp_path) == facts.root
    assert {"systemd": None} == facts.program.installed
    assert [b"/etc/sysctl.d/50-a.conf"] == [file.path for file in facts.tree.files]
    assert [(KEY, "/etc/rc.local", 1)] == [(one.key, one.file, one.line) for one in facts.writers]
    assert facts.tuned is None


def test_only_writers_of_the_keys_are_looked_for(tmp_path):
    """
    Another sysctl may be asked for, the settings are what is looked for unasked.
    """
    tree_of(tmp_path, {"etc/rc.local": "sysctl -w kernel.panic=1\n"})

    assert () == read_boot(str(tmp_path)).writers
    assert 1 == len(read_boot(str(tmp_path), keys=["kernel.panic"]).writers)


@pytest.mark.parametrize("name", ["/", "//", "/.", "/../", "/proc/.."])
def test_every_name_of_this_system_is_this_system(name):
    """
    So that its processes and its kernel command line count.
    """
    assert HERE == read_boot(name).root


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    """
    Missing, a file, a link to nowhere, a link in circles, and no name at all.
    """
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    names = [str(tmp_path / name) for name in ("missing", "file", "dangling", "loop")]

    for name in [*names, "", "x" * 300]:
        with pytest.raises(InvalidRequestError, match="is no folder"):
            read_boot(name)


def test_a_reader_that_fails_leaves_a_gap():
    """
    What the others found still counts.
    """
    gaps: list[Gap] = []

    def fail():
        """Fail as a reader may."""
        raise OSError(24, "Too many open files", "/etc")

    assert NO_PROGRAM == _or(NO_PROGRAM, fail, gaps)
    assert [Gap("/etc", "could not be read: Too many open files", ("keys",))] == gaps


def test_sysctls_are_read_as_the_kernel_holds_them(tmp_path):
    """
    Canonical text by key, dots of a device's name included; what is none is not there.
    """
    tree_of(
        tmp_path,
        {
            "sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
            "sys/net/ipv4/conf/eth0.1/rp_filter": "1\n",
        },
    )
    keys = [KEY, "net.ipv4.conf.eth0/1.rp_filter", "net.ipv4.nope", "net.ipv4.conf"]

    assert {KEY: "32768 60999", "net.ipv4.conf.eth0/1.rp_filter": "1"} == read_held(
        keys, str(tmp_path)
    )


def test_a_sysctl_that_may_not_be_read_exists():
    """
    One that can only be written is there, without a value.
    """
    held = read_held(["net.ipv4.route.flush", *KEYS])

    assert held["net.ipv4.route.flush"] is None
    assert held[KEY]
