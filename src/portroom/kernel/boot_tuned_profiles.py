"""Profiles of tuned: which files one is made of, and the sysctls that they give together.

Rules of this file:

- a profile is its own file over those that it includes, each loaded once;
- variables stay as they are written;
- a profile that is named and not there is a Gap.

Source: tuned.conf(5); checked against the loader of tuned 2.20, 2.25 and 2.27.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from portroom.kernel.boot_installed import names_in
from portroom.kernel.files import read_below
from portroom.model.facts.boot import Version
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sysctl_files import DANGLING, DIRECTORY, FILE, shown

LARGEST_PROFILE_BYTES = 1 << 20

MOST_PROFILES = 100

PROFILE_FOLDERS = (b"/usr/lib/tuned/profiles", b"/etc/tuned/profiles")
"""Since 2.24; a later folder wins."""

OLD_PROFILE_FOLDERS = (b"/usr/lib/tuned", b"/etc/tuned")

NO_UNITS = frozenset({"", "main", "variables"})
"""Sections that set nothing by themselves."""

CONDITIONS = frozenset({"uname_regex", "cpuinfo_regex"})
"""Options that bind a section to some machines."""

WORDS = CONDITIONS | {
    *("type", "enabled", "replace", "prepend", "drop", "devices", "devices_udev_regex"),
    *("priority", "script_pre", "script_post"),
}
"""Options of every section, so that they are no sysctls."""

TRUE = frozenset({"1", "yes", "true", "on", "y", "t"})


class Option(NamedTuple):
    """
    An option of a section of a profile, and where it stands.

    ``conditional`` says that the section is for some machines only.
    """

    value: str
    profile: str
    file: str
    line: int
    conditional: bool = False


Section = dict[str, Option]


class _Profiles(NamedTuple):
    """What is loaded: the sections of each profile, in the order in which they apply."""

    root: bytes
    folders: tuple[bytes, ...]
    loaded: dict[bytes, dict[str, Section]]
    gaps: list[Gap]


def active_sysctls(
    root: bytes, names: Sequence[str], main: Section, version: Version | None
) -> tuple[Section | None, list[Gap]]:
    """
    Return the sysctls that profiles give together, and what could not be read.

    Args:
        root: The folder that stands for ``/``.
        names: The active profiles; a later one wins.
        main: Options of tuned-main.conf.
        version: That of tuned, None for not known.

    Returns:
        The options by name; None where no profile has a section for sysctls.
    """
    profiles = _Profiles(root, _folders(root, main, version), {}, [])
    for name in names:
        _load(profiles, name)
    return _sysctl_options(profiles.loaded.values()), profiles.gaps


def _folders(root: bytes, main: Section, version: Version | None) -> tuple[bytes, ...]:
    """Return the folders of profiles, the one that wins first."""
    option = main.get("profile_dirs")
    if option:
        paths = re.split(r"[,;]", option.value)
        return tuple(path.strip().encode() for path in reversed(paths) if path.strip())
    # Where the version is not known, the folder that only newer ones have tells.
    is_new = version >= (2, 24) if version else bool(names_in(root, PROFILE_FOLDERS[0]))
    return tuple(reversed(PROFILE_FOLDERS if is_new else OLD_PROFILE_FOLDERS))


def _load(profiles: _Profiles, name: str) -> None:
    """Load a profile after those that it includes, each file once."""
    only_if_there = name.startswith("-")
    path, content = _find(profiles, name.removeprefix("-"))
    if not path:
        if not only_if_there:
            reason = "the profile is named, and not to be found or read"
            profiles.gaps.append(Gap(f"tuned profile {name}", reason, ("others",)))
        return
    if path in profiles.loaded or len(profiles.loaded) >= MOST_PROFILES:
        return
    sections = parse_profile(content, name, shown(path))
    profiles.loaded[path] = {}  # loaded already, for a profile that includes itself
    include = sections.get("main", {}).get("include")
    for other in re.split(r"\s*[,;]\s*", include.value.strip()) if include else ():
        _load(profiles, other)
    del profiles.loaded[path]
    profiles.loaded[path] = sections


def _find(profiles: _Profiles, name: str) -> tuple[bytes, bytes]:
    """Return path and content of a profile, empty where it is nowhere."""
    # tuned, too, takes the last part only, so that no name leads out of the folder.
    folder = posixpath.basename(name).encode("utf-8", "replace")
    for parent in profiles.folders:
        path = b"%s/%s/tuned.conf" % (parent, folder)
        found = read_below(profiles.root, path, LARGEST_PROFILE_BYTES)
        if found.kind == FILE:
            return path, found.content
        if found.kind not in {DANGLING, DIRECTORY}:
            profiles.gaps.append(Gap(shown(path), f"is a {found.kind}: not read", ("others",)))
    return b"", b""


def parse_profile(content: bytes, profile: str, file: str) -> dict[str, Section]:
    r"""
    Return the sections of a file of tuned; what stands before any is in ``""``.

    >>> found = parse_profile(b"[sysctl]\nvm.swappiness = 10 # low\n", "mine", "a")
    >>> found["sysctl"]["vm.swappiness"][:4]
    ('10', 'mine', 'a', 2)
    """
    sections: dict[str, Section] = {"": {}}
    section = sections[""]
    for number, line in enumerate(shown(content).split("\n"), start=1):
        text = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if text.startswith("[") and text.endswith("]"):
            section = sections.setdefault(text[1:-1], {})
        elif "=" in text and not text.startswith(";"):
            name, _, value = text.partition("=")
            section[name.strip()] = Option(value.strip(), profile, file, number)
    return sections


def _sysctl_options(profiles: Iterable[dict[str, Section]]) -> Section | None:
    """Return the merged options of sysctl sections, None where no profile has one."""
    units: dict[str, Section] = {}
    for sections in profiles:
        for name, section in sections.items():
            if name not in NO_UNITS:
                units[name] = _merged(units.get(name, {}), section)
    wanted = [unit for name, unit in units.items() if _is_sysctl(name, unit)]
    return {name: row for unit in wanted for name, row in _settings(unit)} if wanted else None


def _settings(unit: Section) -> Iterator[tuple[str, Option]]:
    """Yield the options of a section that are no words of tuned itself."""
    conditional = bool(CONDITIONS & unit.keys())
    for name, option in unit.items():
        if name not in WORDS:
            yield name, option._replace(conditional=conditional)


def _merged(older: Section, newer: Section) -> Section:
    """Return a section of a profile over the same section of one that it includes."""
    if "replace" in newer and is_true(newer["replace"]):
        return dict(newer)
    dropped = re.split(r"\s*[,;]\s*", newer["drop"].value) if "drop" in newer else []
    gone = {"type", "enabled", *dropped}
    return {name: option for name, option in older.items() if name not in gone} | newer


def _is_sysctl(name: str, unit: Section) -> bool:
    """Say whether a section is one for sysctls, and is not switched off."""
    kind = unit["type"].value if "type" in unit else name
    return kind == "sysctl" and ("enabled" not in unit or is_true(unit["enabled"]))


def is_true(option: Option) -> bool:
    """Say whether an option is switched on."""
    return option.value.strip("\"'").lower() in TRUE
