"""Versions come from package databases, names of libraries and modules; nothing is run."""

import os

import pytest

from portroom.kernel.boot_installed import installed_programs, leads_to, parse_version
from tests.unit.kernel.trees import Fifo, Link, make_tree

SYSTEMD_SYSCTL = {"/usr/lib/systemd/systemd-sysctl": "ELF"}
SYSCTL = {"/usr/sbin/sysctl": "ELF"}
TUNED = {"/usr/sbin/tuned": "#!/usr/bin/python3\n"}

DPKG = """Package: procps
Status: install ok installed
Version: 2:4.0.2-3

Package: systemd
Status: install ok installed
Version: 252.38-1~deb12u1

Package: tuned
Status: deinstall ok config-files
Version: 2.20.0-1
"""

APK = "P:musl\nV:1.2.5-r0\n\nP:procps-ng\nV:4.0.4-r2\nA:x86_64\n\n"

MODULE = "TUNED_VERSION_MAJOR = 2\nTUNED_VERSION_MINOR = 25\nTUNED_VERSION_PATCH = 1\n"


def installed(tmp_path, *parts):
    """
    Return what is installed in a tree of these parts.
    """
    tree = {name: content for part in parts for name, content in part.items()}
    return installed_programs(os.fsencode(make_tree(tmp_path, tree)))


def test_dpkg_tells_what_is_installed_and_not_what_was(tmp_path):
    """
    Epoch and revision are left off; a package of which only its configuration is left is none.
    """
    found = installed(tmp_path, SYSTEMD_SYSCTL, SYSCTL, TUNED, {"/var/lib/dpkg/status": DPKG})

    assert {"systemd": (252, 38), "procps": (4, 0, 2), "tuned": None} == found


def test_apk_and_pacman_tell(tmp_path):
    """
    Alpine's database is a file of short fields, Arch's a folder a package.
    """
    alpine = {"/lib/apk/db/installed": APK}
    arch = {"/var/lib/pacman/local/systemd-257.2-1": None}

    found = installed(tmp_path, SYSTEMD_SYSCTL, SYSCTL, alpine, arch)

    assert {"systemd": (257, 2), "procps": (4, 0, 4)} == found


@pytest.mark.parametrize(
    ("library", "program", "version"),
    [
        ("/usr/lib/systemd/libsystemd-shared-247.so", "systemd", (247,)),
        ("/usr/lib64/systemd/libsystemd-shared-252-51.el9.so", "systemd", (252,)),
        ("/usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-262.so", "systemd", (262,)),
        ("/usr/lib64/libprocps.so.8.0.3", "procps", (3, 3, 17)),
        ("/usr/lib64/libprocps.so.7.1.0", "procps", (3, 3, 15)),
        ("/lib64/libprocps.so.4.0.0", "procps", (3, 3)),
        ("/usr/lib/x86_64-linux-gnu/libproc2.so.0.0.1", "procps", (4, 0, 2)),
        ("/usr/lib/arm-linux-gnueabihf/libproc2.so.1.0.2", "procps", (4, 0, 7)),
        ("/usr/lib/libproc2.so.9", "procps", (4,)),
    ],
)
def test_without_a_database_the_library_tells(tmp_path, library, program, version):
    """
    The rpm database cannot be read here: the name of a library says as much as it can.
    """
    found = installed(tmp_path, SYSTEMD_SYSCTL, SYSCTL, {library: "ELF"})

    assert version == found[program]


@pytest.mark.parametrize("packages", ["site-packages", "dist-packages"])
def test_tuned_tells_its_version_in_a_module(tmp_path, packages):
    """
    tuned's own module has its version, with whatever Python it came.
    """
    module = {f"/usr/lib/python3.12/{packages}/tuned/version.py": MODULE}

    assert {"tuned": (2, 25, 1)} == installed(tmp_path, TUNED, module)


@pytest.mark.parametrize("target", ["/bin/busybox", "../../bin/busybox", "/usr/bin/toybox"])
def test_a_sysctl_of_many_in_one_is_no_procps(tmp_path, target):
    """
    A link to busybox or toybox is not the sysctl of procps.
    """
    tree = {"/bin/busybox": "ELF", "/usr/bin/toybox": "ELF", "/usr/sbin/sysctl": Link(target)}

    assert {} == installed(tmp_path, tree)


def test_a_database_that_blocks_or_lies_is_no_wait_and_no_version(tmp_path):
    """
    A FIFO for a database is not opened; a version without number is None.
    """
    fifo = {"/var/lib/dpkg/status": Fifo(), "/lib/apk/db/installed": "P:procps\nV:git\n\n"}

    assert {"procps": None} == installed(tmp_path, SYSCTL, fifo)


def test_a_loop_of_links_ends(tmp_path):
    """
    Links in a circle end somewhere in the circle.
    """
    root = make_tree(tmp_path, {"/a": Link("b"), "/b": Link("/a")})

    assert leads_to(os.fsencode(root), b"/a") in {b"/a", b"/b"}


@pytest.mark.parametrize(
    ("text", "version"),
    [("2:3.3.17-5", (3, 3, 17)), ("4.0.4-r0", (4, 0, 4)), ("262~rc1", (262,)), ("", None)],
)
def test_versions_are_their_leading_numbers(text, version):
    """
    What a distribution puts around a version does not count.
    """
    assert version == parse_version(text)
