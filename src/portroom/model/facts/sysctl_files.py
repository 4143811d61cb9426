"""Sysctl files as values: what lies where boot programs look for settings.

Rules of this file:

- paths and contents are bytes, as on disk: a name need not be text;
- a path is that of the tree, ``b"/etc/sysctl.d/50-a.conf"``, wherever the tree
  itself lies;
- nothing here knows which program reads what.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

from typing import NamedTuple

DIRECTORIES = (
    b"/etc/sysctl.d",
    b"/run/sysctl.d",
    b"/usr/local/lib/sysctl.d",
    b"/usr/lib/sysctl.d",
    b"/lib/sysctl.d",
)
"""Every directory that some boot program reads."""

SYSCTL_CONF = b"/etc/sysctl.conf"

OWN_FOLDER = "/etc/sysctl.d"

OWN_PATHS = tuple(
    f"{OWN_FOLDER}/{name}"
    for name in ("90-portroom.conf", "99-portroom.conf", "zz-portroom.conf", "~portroom.conf")
)
"""Where the file of portroom's own may lie, the usual name first, then later and later ones."""

CREDENTIAL = b"sysctl.extra"
"""The credential that systemd-sysctl reads after all files."""

SUFFIX = b".conf"

NULL_DEVICE = b"/dev/null"
"""Where a link leads that switches a file of that name off."""

# What a path leads to. Only FILE has a content.
FILE = "file"
NULL = "null device"
DIRECTORY = "directory"
DANGLING = "dangling link"
LOOP = "link loop"
FIFO = "FIFO"
SOCKET = "socket"
DEVICE = "device"
LARGE = "large file"
UNREADABLE = "unreadable file"

KINDS = frozenset({FILE, NULL, DIRECTORY, DANGLING, LOOP, FIFO, SOCKET, DEVICE, LARGE, UNREADABLE})
"""All of them."""

ENDLESS = frozenset({FIFO, DEVICE})
"""Kinds for which a boot program may wait, or read, without end."""

UNSEEN = frozenset({FIFO, DEVICE, LARGE, UNREADABLE})
"""Kinds whose content is not known, so that what they decide is not either."""


class SysctlFile(NamedTuple):
    """
    One name in a directory of sysctl files, and what it leads to.

    ``kind`` is one of the kinds above; ``content`` is empty for all but FILE;
    ``link`` is the target of a symbolic link as written, empty for none.
    """

    path: bytes
    kind: str
    content: bytes = b""
    link: bytes = b""

    @property
    def directory(self) -> bytes:
        """Return the directory, without a slash at the end."""
        return self.path.rpartition(b"/")[0]

    @property
    def name(self) -> bytes:
        """
        Return the last part of the path.

        >>> SysctlFile(b"/etc/sysctl.d/50-a.conf", FILE).name
        b'50-a.conf'
        """
        return self.path.rpartition(b"/")[2]


class Unseen(NamedTuple):
    """Something that was not read: its path, and why, as a clause."""

    path: bytes
    reason: str


class SysctlTree(NamedTuple):
    """
    All sysctl files of a system, in the order of DIRECTORIES, then the others.

    A directory that is the same as an earlier one (``/lib`` of a merged
    ``/usr``) is left out. ``unseen`` tells what was not looked into.
    """

    files: tuple[SysctlFile, ...] = ()
    unseen: tuple[Unseen, ...] = ()


def shown(path: bytes) -> str:
    r"""
    Return a path or a line as text; bytes that are no UTF-8 stand as ``\xNN``.

    >>> shown(b"/etc/sysctl.d/\xff.conf")
    '/etc/sysctl.d/\\xff.conf'
    """
    return path.decode("utf-8", "backslashreplace")
