"""Sysctl files: everything in the directories that boot programs read.

Rules of this file:

- it reads and nothing else: which file counts is for ``model.laws.boot``;
- nothing below makes it wait: what is no regular file is named, not opened;
- nothing outside the root is ever looked at, wherever links point.

Part of the portable core: standard library and Python 3.9 syntax only.
"""

from __future__ import annotations

import os

from portroom.kernel.files import link_below, list_below, read_below
from portroom.model.facts.sysctl_files import (
    CREDENTIAL,
    DANGLING,
    DIRECTORIES,
    SYSCTL_CONF,
    SysctlFile,
    SysctlTree,
    Unseen,
)

MOST_FILES = 10_000
"""Names of one directory that are looked at; what follows is told as unseen."""

LARGEST_FILE_BYTES = 4 << 20

LARGEST_TREE_BYTES = 4 << 20
"""What is read of all files together; beyond it files count as too large."""

CREDENTIAL_STORES = (
    b"/run/credentials/systemd-sysctl.service",
    b"/run/credentials/@system",
    b"/etc/credstore",
    b"/run/credstore",
    b"/usr/local/lib/credstore",
    b"/usr/lib/credstore",
)
"""
Where systemd finds a credential for its services, the first one first.

Source: systemd.exec(5), LoadCredential= and ImportCredential=.
"""


def read_tree(root: str = "/") -> SysctlTree:
    """
    Read all sysctl files of the system below *root*.

    Args:
        root: The folder that stands for ``/``.

    Returns:
        The files in the order of DIRECTORIES, by name within each, then
        ``/etc/sysctl.conf`` and the credential where they exist.

    Raises:
        OSError: *root* is no folder that can be entered.
    """
    base = os.fsencode(root)
    os.close(os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    paths, unseen = _paths(base)
    files, left = [], LARGEST_TREE_BYTES
    for path in paths:
        found = read_below(base, path, min(LARGEST_FILE_BYTES, left))
        left -= len(found.content)
        files.append(SysctlFile(path, *found, link_below(base, path)))
    files += _others(base)
    return SysctlTree(tuple(files), tuple(unseen))


def _paths(base: bytes) -> tuple[list[bytes], list[Unseen]]:
    """Return the paths of all names in the directories, each directory once."""
    paths, unseen, known = [], [], set()
    for directory in DIRECTORIES:
        try:
            names, identity = list_below(base, directory)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            unseen.append(Unseen(directory, f"cannot be listed: {os.strerror(error.errno or 0)}"))
            continue
        if identity in known:
            continue
        known.add(identity)
        paths += [b"%s/%s" % (directory, name) for name in names[:MOST_FILES]]
        if len(names) > MOST_FILES:
            more = len(names) - MOST_FILES
            unseen.append(Unseen(directory, f"has {more} names more than the first {MOST_FILES}"))
    return paths, unseen


def _others(base: bytes) -> list[SysctlFile]:
    """Return ``/etc/sysctl.conf`` and the credential, where there are any."""
    files = []
    for path in (SYSCTL_CONF, *(b"%s/%s" % (store, CREDENTIAL) for store in CREDENTIAL_STORES)):
        found = read_below(base, path, LARGEST_FILE_BYTES)
        link = link_below(base, path)
        if found.kind == DANGLING and not link:
            continue
        files.append(SysctlFile(path, *found, link))
        if path != SYSCTL_CONF:
            break
    return files
