r"""
Settings: write one whole, and read it back.

Rules of this file:

- only settings that the table marks as writable: who may run portroom may not
  therefore write any sysctl;
- text is canonical, so nothing of what the kernel accepts by mistake is sent;
- a list longer than a page goes in pieces on one descriptor, since one write(2)
  takes no more; a piece ends behind a comma, since a kernel before 5.2 takes
  half a number for a number;
- what counts is what is read back.

Everything here is about the network namespace of the calling thread.

Source: Linux kernel/sysctl.c, proc_do_large_bitmap.
"""

from __future__ import annotations

import errno
import itertools
import os

from portroom.change.refusals import NOT_ALLOWED, strerror
from portroom.errors import (
    InvalidRequestError,
    NotPermittedError,
    NotSupportedError,
    PortroomError,
    WriteError,
)
from portroom.kernel.rights import sudo_line
from portroom.kernel.settings import parse_value
from portroom.kernel.sysctl import read_value, sysctl_path
from portroom.model.facts.settings import SETTINGS, Setting, kernel_text
from portroom.model.facts.snapshot import SettingValue
from portroom.model.laws.acceptance import RANGE_KEY, START_KEY, write_once

PIECE_BYTES = 4000
"""Less than a page, of which the kernel takes one byte less: 4,095."""

SHOWN_LETTERS = 80

WRITABLE = {setting.key: setting for setting in SETTINGS if setting.writable}


def read_canonical(key: str) -> str:
    """
    Return what a setting holds, as canonical text.

    Raises:
        InvalidRequestError: portroom does not write this one.
        NotSupportedError: This kernel does not have it.
        NotPermittedError: It may not be read.
        KernelDataError: What it holds cannot be understood.
    """
    setting = _writable(key)
    try:
        return kernel_text(_typed(setting, read_value(key)))
    except OSError as error:
        raise _explain(error, key, "read") from None


def write_setting(key: str, text: str) -> None:
    """
    Write a setting whole, and check what it holds then.

    Args:
        key: The sysctl, dotted.
        text: What it shall hold; canonical or not, the canonical form is sent.

    Raises:
        InvalidRequestError: portroom does not write this one.
        NotSupportedError: This kernel does not have it.
        NotPermittedError: The right is missing.
        WriteError: The kernel refused, or took something else. Of a long list
            one of ``torn_texts`` may be there now.
    """
    wanted = canonical(key, text)
    try:
        descriptor = os.open(sysctl_path(key), os.O_WRONLY | os.O_CLOEXEC)
        try:
            for piece in pieces(wanted):
                _write_piece(descriptor, piece)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _explain(error, key, f"set to {shown(wanted)}", wanted) from None
    held = read_canonical(key)
    if held != wanted:
        raise WriteError(
            f"{key} was set to {shown(wanted)}, and holds {shown(held)} now.",
            "Something else writes it, too, or this kernel reads numbers in another way.",
        )


def probe_setting(key: str) -> None:
    """
    Check that a setting may be written, by opening it for that.

    Raises:
        InvalidRequestError: portroom does not write this one.
        NotSupportedError: This kernel does not have it.
        NotPermittedError: The right is missing.
        WriteError: It is read-only here.
    """
    _writable(key)
    try:
        os.close(os.open(sysctl_path(key), os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        raise _explain(error, key, "opened for writing") from None


def canonical(key: str, text: str) -> str:
    """
    Return the canonical text of a value, by which values are compared.

    Raises:
        InvalidRequestError: portroom does not write this one.
        KernelDataError: The text is none of its values.

    >>> canonical("net.ipv4.ip_local_reserved_ports", "3,1-2")
    '1-3'
    """
    return kernel_text(_typed(_writable(key), text))


def pieces(text: str) -> list[bytes]:
    r"""
    Return the bytes of canonical text, as they are written one after the other.

    The kernel ignores a write without bytes: a newline empties a list.

    >>> pieces("15000 64000"), pieces("")
    ([b'15000 64000\n'], [b'\n'])
    """
    data, cut = f"{text}\n".encode("ascii"), []
    while len(data) > PIECE_BYTES:
        end = data.rindex(b",", 0, PIECE_BYTES) + 1
        cut.append(data[:end])
        data = data[end:]
    return [*cut, data]


def torn_texts(key: str, text: str) -> frozenset[str]:
    """
    Return what a setting holds if its writer dies half way through a long list.

    >>> torn_texts("net.ipv4.ip_local_port_range", "15000 64000")
    frozenset()
    """
    whole = canonical(key, text)
    ends = itertools.accumulate(map(len, pieces(whole)[:-1]))
    # Without the comma at its end each piece, with those before, is canonical again.
    return frozenset(whole[: end - 1] for end in ends)


def shown(text: str) -> str:
    """
    Return a value in quotes, cut where it is a long list.

    >>> shown(""), shown("15000 64000")
    ("''", "'15000 64000'")
    """
    if len(text) <= SHOWN_LETTERS:
        return repr(text)
    return f"{text[:SHOWN_LETTERS]!r}… ({len(text)} characters)"


def _writable(key: str) -> Setting:
    """Return the setting of a key that portroom writes."""
    setting = WRITABLE.get(key)
    if setting is None:
        raise InvalidRequestError(f"portroom does not write {key[:SHOWN_LETTERS]!r}.")
    return setting


def _typed(setting: Setting, text: str) -> SettingValue:
    """Return the value that a text is."""
    return parse_value(setting.key, setting.type, text)


def _write_piece(descriptor: int, piece: bytes) -> None:
    """Write one piece, on the same descriptor for as long as the kernel takes only a part."""
    while piece:
        taken = os.write(descriptor, piece)
        if not taken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        piece = piece[taken:]


def _explain(error: OSError, key: str, tried: str, wanted: str | None = None) -> PortroomError:
    """Return the error for a setting that could not be read or written."""
    what = f"{key} could not be {tried}"
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return NotSupportedError.changing(f"{what}: this kernel does not have it here.")
    if error.errno in NOT_ALLOWED:
        return NotPermittedError.changing(
            f"{what}: {strerror(error)!r}. It needs CAP_NET_ADMIN in the user namespace "
            "that owns the network namespace.",
            f"Run: {sudo_line()}",
        )
    if error.errno == errno.EROFS:
        return WriteError(
            f"{what}: read-only /proc/sys (container?).",
            "Set it where the container is started, or keep it in a file with --persist-only.",
        )
    if error.errno == errno.EINVAL and wanted is not None:
        return WriteError(f"{what}: the kernel refused it: {_why(key, wanted)}.")
    return WriteError(f"{what}: {strerror(error)!r}.")


def _why(key: str, wanted: str) -> str:
    """Return why the kernel refuses a value, as far as its rules are known."""
    state = {}
    for other in (RANGE_KEY, START_KEY):
        try:
            state[other] = read_canonical(other)
        except PortroomError:
            continue
    written = write_once(key, pieces(wanted)[0], state)
    return written.reason if written.refusal else "it does not say why"
