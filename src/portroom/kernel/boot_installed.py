"""Programs that apply sysctl files: which are installed below a root, and in which version.

Rules of this file:

- nothing is run: a version comes from the package database, from the name of
  a library, or from a file of the program;
- a database that cannot be read here (that of rpm) leaves the library;
- a version that nothing tells is None, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from portroom.kernel.files import LONGEST_CHAIN, link_below, list_below, read_below
from portroom.model.facts.boot import Version
from portroom.model.facts.sysctl_files import FILE, LARGE
from portroom.model.laws.dialects import PROCPS, SYSTEMD, TUNED

LARGEST_DATABASE_BYTES = 64 << 20
"""Ten times the database of a desktop with all its packages."""

LARGEST_MODULE_BYTES = 1 << 16

PROGRAM_FILES = {
    SYSTEMD: (
        b"/usr/lib/systemd/systemd-sysctl",
        b"/lib/systemd/systemd-sysctl",
        b"/run/current-system/systemd/lib/systemd/systemd-sysctl",
    ),
    PROCPS: (
        b"/usr/sbin/sysctl",
        b"/sbin/sysctl",
        b"/usr/bin/sysctl",
        b"/bin/sysctl",
        b"/run/current-system/sw/bin/sysctl",
    ),
    TUNED: (b"/usr/sbin/tuned", b"/usr/bin/tuned", b"/sbin/tuned"),
}
"""The file that applies sysctl files; one of them is there where the program is. Two are NixOS."""

MANY_IN_ONE = frozenset({b"busybox", b"toybox"})
"""Programs that stand in for many, among them a sysctl with rules of its own."""

PACKAGES = {
    SYSTEMD: ("systemd",),
    PROCPS: ("procps", "procps-ng"),
    TUNED: ("tuned",),
}

DPKG, PACMAN = b"/var/lib/dpkg/status", b"/var/lib/pacman/local"

APK = (b"/lib/apk/db/installed", b"/usr/lib/apk/db/installed")

LIBRARY_FOLDERS = (
    b"/usr/lib/systemd",
    b"/lib/systemd",
    b"/usr/lib64/systemd",
    b"/usr/lib",
    b"/usr/lib64",
    b"/lib",
    b"/lib64",
    b"/run/current-system/systemd/lib/systemd",
)

SYSTEMD_LIBRARY = rb"libsystemd-shared-(\d+)"

PROCPS_LIBRARIES = {
    b"libproc2.so.1.0.2": (4, 0, 7),
    b"libproc2.so.0.0.2": (4, 0, 4),
    b"libproc2.so.0.0.1": (4, 0, 2),
    b"libproc2.so": (4,),
    b"libprocps.so.8.0.3": (3, 3, 17),
    b"libprocps.so.8.0.2": (3, 3, 16),
    b"libprocps.so.7.1.0": (3, 3, 15),
    b"libprocps.so": (3, 3),
}
"""
Start of a library's name, and the version that brought it; the first one that fits counts.

Source: the packages procps and procps-ng of Debian and Red Hat.
"""


def installed_programs(root: bytes) -> dict[str, Version | None]:
    """Return the programs that are there, with their versions as far as they are told."""
    found = [
        name for name, paths in PROGRAM_FILES.items() if any(_is_there(root, p) for p in paths)
    ]
    if not found:
        return {}
    packages = package_versions(root)
    others = {SYSTEMD: _systemd_library, PROCPS: _procps_library, TUNED: _tuned_module}
    return {name: packages.get(name) or others[name](root) for name in found}


def is_file(root: bytes, path: bytes) -> bool:
    """Say whether a path leads to a regular file."""
    return read_below(root, path, 0).kind in {FILE, LARGE}


def leads_to(root: bytes, path: bytes) -> bytes:
    """
    Return the path at the end of a chain of links, as seen from inside *root*.

    A path that is no link is returned as it is.
    """
    for _ in range(LONGEST_CHAIN):
        target = link_below(root, path)
        if not target:
            break
        path = target if target.startswith(b"/") else path.rpartition(b"/")[0] + b"/" + target
    return path


def _is_there(root: bytes, path: bytes) -> bool:
    """Say whether a program is there itself, and no other one stands in for it."""
    name = leads_to(root, path).rpartition(b"/")[2]
    return name not in MANY_IN_ONE and is_file(root, path)


def parse_version(text: str) -> Version | None:
    """
    Return the numbers at the start of a package's version, None without any.

    An epoch before them and what the distribution appends do not count.

    >>> parse_version("2:4.0.2-3"), parse_version("257~rc2-1"), parse_version("git")
    ((4, 0, 2), (257,), None)
    """
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, match[1].split("."))) if match else None


def package_versions(root: bytes) -> dict[str, Version]:
    """Return what the package databases of dpkg, apk and pacman tell of the programs."""
    told = dict(_dpkg(root)) | dict(_apk(root)) | dict(_pacman(root))
    return {
        program: version
        for program, names in PACKAGES.items()
        for name in names
        if (version := parse_version(told.get(name, "")))
    }


def _dpkg(root: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and version of each package of ours that dpkg has installed."""
    for paragraph in _paragraphs(root, DPKG, b"\nPackage: "):
        fields = dict(line.partition(": ")[::2] for line in paragraph.split("\n"))
        if fields.get("Status", "").endswith(" installed"):
            yield fields["Package"], fields.get("Version", "")


def _apk(root: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and version of each package of ours that apk has installed."""
    for path in APK:
        for paragraph in _paragraphs(root, path, b"\nP:"):
            fields = dict(line.partition(":")[::2] for line in paragraph.split("\n"))
            yield fields["P"], fields.get("V", "")


def _paragraphs(root: bytes, path: bytes, before_name: bytes) -> Iterator[str]:
    """Yield the paragraphs of a database that are about packages of ours."""
    content = b"\n\n" + read_below(root, path, LARGEST_DATABASE_BYTES).content
    for name in (name for names in PACKAGES.values() for name in names):
        at = content.find(before_name + name.encode() + b"\n")
        if at >= 0:
            begin, end = content.rfind(b"\n\n", 0, at + 1), content.find(b"\n\n", at + 1)
            yield content[begin + 2 : end if end >= 0 else None].decode("utf-8", "replace")


def _pacman(root: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and version of each package that pacman has installed: names of folders."""
    for name in names_in(root, PACMAN):
        package, _, version = name.decode("utf-8", "replace").rpartition("-")[0].rpartition("-")
        yield package, version


def _systemd_library(root: bytes) -> Version | None:
    """Return the version in the name of systemd's shared library, the newest one."""
    found = (re.match(SYSTEMD_LIBRARY, name) for name in _libraries(root))
    return max(((int(match[1]),) for match in found if match), default=None)


def _procps_library(root: bytes) -> Version | None:
    """Return the version of procps that brought the library that is there."""
    libraries = list(_libraries(root))
    for start, version in PROCPS_LIBRARIES.items():
        if any(name.startswith(start) for name in libraries):
            return version
    return None


def _libraries(root: bytes) -> Iterator[bytes]:
    """Yield the names in all folders of libraries, those of one architecture included."""
    for folder in LIBRARY_FOLDERS:
        for name in names_in(root, folder):
            yield name
            if b"-linux-" in name:
                yield from names_in(root, b"%s/%s" % (folder, name))
                yield from names_in(root, b"%s/%s/systemd" % (folder, name))


def _tuned_module(root: bytes) -> Version | None:
    """Return what tuned's own module says, wherever Python keeps it."""
    for python in (name for name in names_in(root, b"/usr/lib") if name.startswith(b"python")):
        for packages in (b"site-packages", b"dist-packages"):
            path = b"/usr/lib/%s/%s/tuned/version.py" % (python, packages)
            text = read_below(root, path, LARGEST_MODULE_BYTES).content
            numbers = dict(re.findall(rb"TUNED_VERSION_(MAJOR|MINOR|PATCH) *= *(\d+)", text))
            if numbers:
                parts = (b"MAJOR", b"MINOR", b"PATCH")
                return tuple(int(numbers[part]) for part in parts if part in numbers)
    return None


def names_in(root: bytes, folder: bytes) -> list[bytes]:
    """Return the names in a folder, none where it cannot be listed."""
    try:
        return list_below(root, folder)[0]
    except OSError:
        return []
