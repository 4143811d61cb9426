"""What tuned will set when it starts is read off its files."""

import os

import pytest

from portroom.kernel.boot_tuned import read_tuned
from tests.unit.kernel.trees import Fifo, Link, make_tree

RANGE = "net.ipv4.ip_local_port_range"
REUSE = "net.ipv4.tcp_tw_reuse"

OLD, NEW = (2, 20, 0), (2, 25, 1)

MINE = {
    "/etc/tuned/active_profile": "mine\n",
    "/etc/tuned/profiles/mine/tuned.conf": f"[main]\n[sysctl]\n{RANGE}=15000 65000\n",
}

ENABLED = {
    "/usr/lib/systemd/system/tuned.service": "[Service]\n",
    "/etc/systemd/system/multi-user.target.wants/tuned.service": Link("/nowhere"),
}


def read(tmp_path, tree, *keys, version=NEW):
    """
    Return what tuned does, its writers and the gaps, for a tree.
    """
    return read_tuned(keys or [RANGE], os.fsencode(make_tree(tmp_path, tree)), version)


def settings(writers):
    """
    Return profile, value, file and line of each writer.
    """
    return [(one.name, one.value, one.file, one.line) for one in writers]


def test_the_active_profile_is_told_by_file_and_line(tmp_path):
    """
    A setting of the active profile comes after the boot program.
    """
    tuned, writers, gaps = read(tmp_path, MINE | ENABLED)

    assert ("mine",) == tuned.profiles
    assert tuned.starts is True
    assert [("mine", "15000 65000", "/etc/tuned/profiles/mine/tuned.conf", 3)] == settings(writers)
    assert ["after it"] == [writer.when for writer in writers]
    assert [] == gaps


def test_a_tuned_that_nothing_starts_writes_when_somebody_starts_it(tmp_path):
    """
    Installed is not enabled.
    """
    unit = {"/usr/lib/systemd/system/tuned.service": "[Service]\n"}

    tuned, (writer,), _ = read(tmp_path, MINE | unit)

    assert tuned.starts is False
    assert "any time" == writer.when
    assert "when somebody starts it" in writer.sentence


@pytest.mark.parametrize(
    ("version", "name", "found"),
    [
        (OLD, RANGE, True),
        (OLD, "net/ipv4/ip_local_port_range", True),
        (NEW, RANGE, True),
        (NEW, "net/ipv4/ip_local_port_range", False),
        (None, "net/ipv4/ip_local_port_range", True),
    ],
)
def test_slashes_in_a_key_count_by_version(tmp_path, version, name, found):
    """
    Until 2.21 dots and slashes are alike; from 2.22 on they change places.
    """
    tree = {
        "/etc/tuned/active_profile": "mine",
        "/etc/tuned/mine/tuned.conf": f"[sysctl]\n{name}=1 2\n",
        "/etc/tuned/profiles/mine/tuned.conf": f"[sysctl]\n{name}=1 2\n",
    }

    _, writers, _ = read(tmp_path, tree, version=version)

    assert found == bool(writers)


@pytest.mark.parametrize(
    ("tree", "version", "value"),
    [
        ({"/etc/tuned/profiles/a": "1", "/usr/lib/tuned/profiles/a": "2"}, NEW, "1"),
        ({"/usr/lib/tuned/profiles/a": "2", "/etc/tuned/a": "3"}, NEW, "2"),
        ({"/etc/tuned/a": "3", "/usr/lib/tuned/a": "4"}, OLD, "3"),
        ({"/usr/lib/tuned/profiles/a": "2", "/usr/lib/tuned/a": "4"}, OLD, "4"),
        ({"/usr/lib/tuned/profiles/a": "2", "/usr/lib/tuned/a": "4"}, None, "2"),
        ({"/usr/lib/tuned/a": "4"}, None, "4"),
    ],
)
def test_the_folder_of_profiles_depends_on_the_version(tmp_path, tree, version, value):
    """
    /etc wins over /usr/lib; from 2.24 on profiles have a folder of their own in both.
    """
    files = {f"{path}/tuned.conf": f"[sysctl]\n{REUSE}={text}\n" for path, text in tree.items()}

    _, writers, _ = read(
        tmp_path, files | {"/etc/tuned/active_profile": "a"}, REUSE, version=version
    )

    assert [value] == [writer.value for writer in writers]


def test_profile_dirs_are_obeyed(tmp_path):
    """
    A folder named in tuned-main.conf counts; the later one wins.
    """
    tree = {
        "/etc/tuned/active_profile": "a",
        "/etc/tuned/tuned-main.conf": "profile_dirs = /opt/first, /opt/second\n",
        "/opt/first/a/tuned.conf": f"[sysctl]\n{REUSE}=1\n",
        "/opt/second/a/tuned.conf": f"[sysctl]\n{REUSE}=2\n",
    }

    _, writers, _ = read(tmp_path, tree, REUSE)

    assert ["2"] == [writer.value for writer in writers]


def test_an_included_profile_is_overridden_by_its_reader(tmp_path):
    """
    include= is loaded first; replace, drop, type and enabled of a section count.
    """
    base = "/etc/tuned/profiles"
    tree = {
        "/etc/tuned/active_profile": "a",
        "/etc/tuned/post_loaded_profile": "last",
        f"{base}/a/tuned.conf": f"[main]\ninclude=b, c ,-missing\n[sysctl]\n{REUSE}=1\n",
        f"{base}/b/tuned.conf": f"[main]\ninclude=a\n[sysctl]\n{REUSE}=2\n{RANGE}=2 2\n",
        f"{base}/c/tuned.conf": "[mine]\ntype=sysctl\nfs.nr_open=3\n[off]\ntype=sysctl\n"
        "enabled=false\nfs.file-max=3\n",
        f"{base}/last/tuned.conf": f"[sysctl]\ndrop={RANGE}\nvm.swappiness=4\n",
    }

    tuned, writers, gaps = read(
        tmp_path, tree, REUSE, RANGE, "fs.nr_open", "fs.file-max", "vm.swappiness"
    )

    assert ("a", "last") == tuned.profiles
    assert [("a", "1"), ("last", "4"), ("c", "3")] == [(one.name, one.value) for one in writers]
    assert [] == gaps


def test_variables_stay_and_quotes_go(tmp_path):
    """
    A value is told as it is written, without the quotes around it and a comment behind.
    """
    profile = f'[variables]\nx=1\n[sysctl]\n{RANGE} = "${{x}} 2" # why\n# {REUSE}=1\n;{REUSE}=1\n'
    tree = MINE | {"/etc/tuned/profiles/mine/tuned.conf": profile}

    _, writers, _ = read(tmp_path, tree, RANGE, REUSE)

    assert [("mine", "${x} 2", "/etc/tuned/profiles/mine/tuned.conf", 4)] == settings(writers)


def test_a_section_for_some_machines_says_so(tmp_path):
    """
    Whether such a section counts depends on the machine, which nobody asked here.
    """
    profile = f"[sysctl]\nuname_regex=aarch64\n{RANGE}=1 2\n"

    _, (writer,), _ = read(tmp_path, MINE | {"/etc/tuned/profiles/mine/tuned.conf": profile})

    assert "if the machine is one that its section is for" in writer.sentence


@pytest.mark.parametrize("option", ["", "reapply_sysctl = 1\n", "reapply_sysctl=true # yes\n"])
def test_files_are_applied_again_unless_switched_off(tmp_path, option):
    """
    Reapplying is the default; where a file names the key, that is a writer of its own.
    """
    tree = MINE | {
        "/etc/tuned/tuned-main.conf": f"daemon = 1\n{option}",
        "/etc/sysctl.d/50-ports.conf": f"{RANGE} = 20000 30000\n",
    }

    tuned, writers, _ = read(tmp_path, tree)

    assert tuned.reapplies is True
    assert ["mine", "reapply_sysctl"] == [writer.name for writer in writers]
    assert writers[0].sentence.endswith("which tuned applies again, still wins.")
    assert (2 if option else None) == writers[1].line


@pytest.mark.parametrize(
    ("main", "profile"),
    [
        ("reapply_sysctl = 0\n", f"[sysctl]\n{REUSE}=1\n"),
        ("reapply_sysctl = off\n", f"[sysctl]\n{REUSE}=1\n"),
        ("", "[main]\nsummary=no sysctl here\n"),
    ],
)
def test_files_are_not_applied_again(tmp_path, main, profile):
    """
    Switched off, or with a profile that sets no sysctl, tuned reads no sysctl file.
    """
    tree = MINE | {
        "/etc/tuned/tuned-main.conf": main,
        "/etc/tuned/profiles/mine/tuned.conf": profile,
        "/etc/sysctl.conf": f"{REUSE} = 2\n",
    }

    tuned, writers, _ = read(tmp_path, tree, REUSE)

    assert tuned.reapplies is False
    assert [] == [writer for writer in writers if writer.name == "reapply_sysctl"]
    assert all(writer.sentence.endswith("and has the last word.") for writer in writers)


@pytest.mark.parametrize(("version", "left_out"), [((2, 27, 0), True), (NEW, False)])
def test_excluded_keys_are_not_applied_again_since_2_27(tmp_path, version, left_out):
    """
    reapply_sysctl_exclude holds patterns of keys; older versions do not know it.
    """
    tree = MINE | {
        "/etc/tuned/tuned-main.conf": "reapply_sysctl_exclude = net.ipv4.ip_*; vm.*\n",
        "/etc/sysctl.conf": f"{RANGE} = 1 2\n",
    }

    tuned, writers, _ = read(tmp_path, tree, version=version)

    assert (("net.ipv4.ip_*", "vm.*") if left_out else ()) == tuned.excluded
    assert left_out == ("reapply_sysctl" not in [writer.name for writer in writers])


@pytest.mark.parametrize(
    ("tree", "source"),
    [
        ({"/etc/tuned/active_profile": "gone"}, "tuned profile gone"),
        ({"/etc/tuned/active_profile": "../../../etc/passwd"}, "tuned profile ../../../etc/passwd"),
        ({"/etc/tuned/active_profile": "\n"} | ENABLED, "/etc/tuned/active_profile"),
        ({"/etc/tuned/active_profile": Fifo()}, "/etc/tuned/active_profile"),
        (
            MINE | {"/etc/tuned/tuned-main.conf": Link("tuned-main.conf")},
            "/etc/tuned/tuned-main.conf",
        ),
    ],
)
def test_what_cannot_be_found_or_read_is_a_gap(tmp_path, tree, source):
    """
    A profile that is nowhere, or a file that would block, is told and never waited for.
    """
    _, _, gaps = read(tmp_path, tree)

    assert source in [gap.source for gap in gaps]


def test_a_profile_never_leads_out_of_the_root(tmp_path):
    """
    A profile that is a link to a file outside is looked for inside.
    """
    make_tree(tmp_path, {"/outside.conf": f"[sysctl]\n{RANGE}=1 2\n"})
    link = Link(str(tmp_path / "outside.conf"))

    _, writers, gaps = read(tmp_path / "tree", MINE | {"/etc/tuned/profiles/mine/tuned.conf": link})

    assert [] == writers
    assert ["tuned profile mine"] == [gap.source for gap in gaps]
