"""Read all that decides what the next boot of a system gives its sysctls."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from portroom.errors import InvalidRequestError, NotPermittedError
from portroom.kernel.boot_program import read_boot_program
from portroom.kernel.boot_writers import read_boot_writers
from portroom.kernel.files import PROC, read_text
from portroom.kernel.sysctl_d import read_tree
from portroom.model.facts.boot import BootFacts, BootProgram, BootWriters
from portroom.model.facts.gaps import Gap
from portroom.model.facts.settings import KEYS
from portroom.model.facts.sysctl_files import SysctlTree, shown
from portroom.model.laws.acceptance import canonical
from portroom.model.laws.sysctl_lines import with_slashes

Read = TypeVar("Read")

HERE = "/"

NO_PROGRAM = BootProgram(program=None, version=None, evidence="what boots this system is not known")

NO_FOLDER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


def read_boot(root: str = HERE, proc: str = PROC, keys: Sequence[str] = KEYS) -> BootFacts:
    """
    Read what decides at the next boot of the system below *root*.

    Args:
        root: The folder that stands for ``/``. Nothing outside is looked at;
            for any but ``/`` neither are processes.
        proc: Where the proc file system of this host is mounted.
        keys: Sysctls of which other writers are looked for, dotted.

    Raises:
        InvalidRequestError: *root* is no folder.
        NotPermittedError: *root* may not be entered.
    """
    where = _folder(root)
    gaps: list[Gap] = []
    program = _or(NO_PROGRAM, lambda: read_boot_program(where, proc), gaps)
    others = _or(BootWriters(), lambda: _others(program, keys, where, proc), gaps)
    tree = _or(SysctlTree(), lambda: read_tree(where), gaps)
    return BootFacts(
        program=program,
        writers=others.writers,
        tuned=others.tuned,
        tree=tree,
        root=shown(os.fsencode(where)),
        gaps=(*gaps, *program.gaps, *others.gaps),
    )


def _others(program: BootProgram, keys: Sequence[str], root: str, proc: str) -> BootWriters:
    """Return what else sets the sysctls; what is installed is looked up once."""
    known = None if program is NO_PROGRAM else program.installed
    return read_boot_writers(keys, root, proc, known)


def read_held(keys: Sequence[str], proc: str = PROC) -> dict[str, str | None]:
    """
    Read what sysctls hold now, in the network namespace of the thread.

    Args:
        keys: Dotted.
        proc: Where the proc file system is mounted.

    Returns:
        By key the canonical text, None where the sysctl exists and may not be
        read. One that does not exist is not in it.
    """
    held: dict[str, str | None] = {}
    for key in keys:
        path = b"%s/sys/%s" % (os.fsencode(proc), with_slashes(os.fsencode(key)))
        try:
            held[key] = canonical(read_text(os.fsdecode(path)))
        except OSError as error:
            if error.errno not in {*NO_FOLDER, errno.EISDIR}:
                held[key] = None
    return held


def _folder(root: str) -> str:
    """
    Return *root* if it is a folder that may be entered, HERE for every name of that.

    Raises:
        InvalidRequestError: It is no folder.
        NotPermittedError: It may not be entered.
    """
    try:
        os.close(os.open(f"{root}/.", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        here = os.path.samefile(root, HERE)
    except OSError as error:
        if error.errno in NO_FOLDER:
            reason = f"{root!r} is no folder: {os.strerror(error.errno or 0)}."
            raise InvalidRequestError(reason, "Name the folder that stands for /.") from None
        raise NotPermittedError(
            f"The folder {root!r} may not be entered: {os.strerror(error.errno or 0)}.",
            "Run portroom as a user who may.",
        ) from None
    return HERE if here else root


def _or(otherwise: Read, read: Callable[[], Read], gaps: list[Gap]) -> Read:
    """Return what *read* reads, or *otherwise* with a Gap that names the error."""
    try:
        return read()
    except OSError as error:
        source = error.filename if isinstance(error.filename, str) else "boot"
        gaps.append(Gap(source, f"could not be read: {error.strerror}", ("keys",)))
        return otherwise
