"""Which kernel packages make the newest kernel of a series."""

from __future__ import annotations

import re
from collections.abc import Iterable

NEWEST = "newest"
"""The newest kernel of any series."""

EVERY = ("5.10", "6.1", "6.12", "6.x", NEWEST)
"""What is booted unless asked otherwise; ``6.x`` is the newest of all that begin with 6."""

_SERIES = re.compile(r"[1-9]\d*\.(\d+|x)")
_NUMBERS = re.compile(r"\d+")


def is_series(word: str) -> bool:
    """
    Say whether a word names a series.

    >>> [is_series(word) for word in ("6.1", "6.x", "newest", "6", "6.1.192")]
    [True, True, True, False, False]
    """
    return word == NEWEST or _SERIES.fullmatch(word) is not None


def newest(series: str, names: Iterable[str]) -> tuple[str, ...]:
    """
    Return the packages of the newest kernel of a series; none if there is none.

    From 6.19 on Debian splits a kernel into binary and modules, and the image
    holds nothing. A kernel without its modules cannot be asked for its sockets,
    so one is taken only if both are there.

    Args:
        series: ``6.1``, ``6.x`` or ``newest``.
        names: The names of all packages of the index.

    >>> newest("6.1", ["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64"])
    ('linux-image-6.1.0-56-cloud-amd64',)
    """
    known = set(names)
    found = {
        version: packages for version in _versions(known) if (packages := _whole(version, known))
    }
    matching = [version for version in found if _belongs(version, series)]
    return found[max(matching, key=_order)] if matching else ()


def _versions(names: Iterable[str]) -> set[str]:
    """Return the versions of kernels for virtual machines, as package names have them."""
    pattern = re.compile(r"linux-(?:image|binary)-(\d+\.\d+\.\d.*)-cloud-amd64")
    return {match[1] for name in names if (match := pattern.fullmatch(name))}


def _whole(version: str, names: set[str]) -> tuple[str, ...]:
    """Return the packages that make one kernel, none where one of them is missing."""
    split = f"linux-binary-{version}-cloud-amd64"
    if split in names:
        packages = (split, f"linux-modules-{version}-cloud-amd64")
    else:
        packages = (f"linux-image-{version}-cloud-amd64",)
    return packages if names.issuperset(packages) else ()


def _belongs(version: str, series: str) -> bool:
    """Say whether a version is of a series."""
    if series == NEWEST:
        return True
    major, minor, _ = version.split(".", 2)
    return series in {f"{major}.{minor}", f"{major}.x"}


def _order(version: str) -> list[int]:
    """Return what sorts versions: all their numbers, in order."""
    return [int(number) for number in _NUMBERS.findall(version)]
