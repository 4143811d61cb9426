"""A row of the tables of rules: files, and what each program makes of them.

Rules of this file:

- an expectation holds for every version of a program, or is a table by the
  version from which on it holds;
- a line of a file is the plain one unless a rule is about lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from portroom.model.facts.sysctl_files import DIRECTORIES
from tests.kernel.boot_host import DEFAULTS
from tests.kernel.boot_trees import RANGE, File, Tree

ETC, RUN, LOCAL, USR, LIB = (directory.decode() for directory in DIRECTORIES)

CONF = "/etc/sysctl.conf"

LINE = f"{RANGE} = 15000 64000"
OTHER = f"{RANGE} = 16000 64000"


class Says(NamedTuple):
    """
    What a program leaves: the value, the line that it comes from ("" for none),
    and the outcome of each line that names the sysctl, as the program reads them.
    """

    value: str
    winner: str
    outcomes: tuple[str, ...]


Expected = Says | Mapping[tuple[int, ...], Says]


class Rule(NamedTuple):
    """One rule: a tree, and what is expected of each program for one sysctl."""

    name: str
    files: tuple[File, ...]
    programs: Mapping[str, Expected]
    key: str = RANGE
    credential: bytes | None = None
    split_usr: bool = False

    @property
    def tree(self) -> Tree:
        """Return the tree to make."""
        return Tree(self.files, self.credential)

    def expected(self, program: str, version: tuple[int, ...]) -> Says:
        """Return what is expected of a program in a version."""
        expected = self.programs[program]
        if isinstance(expected, Says):
            return expected
        return expected[max(since for since in expected if since <= version)]


def says(value: str, winner: str, *outcomes: str) -> Says:
    """Return an expectation."""
    return Says(value, winner, outcomes)


def stays(*outcomes: str) -> Says:
    """Return the expectation that no line decides the range."""
    return Says(DEFAULTS[RANGE], "", outcomes)


def both(expected: Expected) -> Mapping[str, Expected]:
    """Return the same expectation for both programs."""
    return {"systemd": expected, "procps": expected}


def file(path: str | bytes, *lines: str, raw: bytes = b"") -> File:
    """Return a file of lines, or of these bytes."""
    content = raw or "".join(f"{line}\n" for line in lines).encode()
    return File(path.encode() if isinstance(path, str) else path, "file", content)


def link(path: str, target: str) -> File:
    """Return a symbolic link."""
    return File(path.encode(), "link", target.encode())


def folder(path: str) -> File:
    """Return a folder."""
    return File(path.encode(), "folder")


def special(path: str, kind: str) -> File:
    """Return a FIFO, a socket or a device."""
    return File(path.encode(), kind)
