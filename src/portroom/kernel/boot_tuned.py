"""tuned: what its active profile sets, and whether it applies sysctl files again.

Rules of this file:

- tuned is never asked, its files are read: what it will do when it starts;
- variables of a profile stay as they are written;
- a profile that is named and not there is a Gap.

Source: tuned(8), tuned-main.conf(5), tuned.conf(5); the sysctl plugin of tuned
2.15, 2.20, 2.25 and 2.27.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence

from portroom.kernel.boot_installed import names_in
from portroom.kernel.boot_traces import Place, read_traces
from portroom.kernel.boot_tuned_profiles import (
    LARGEST_PROFILE_BYTES,
    Option,
    Section,
    active_sysctls,
    is_true,
    parse_profile,
)
from portroom.kernel.files import read_below
from portroom.model.facts.boot import AFTER, ANY_TIME, REAPPLY, TUNED, BootWriter, Tuned, Version
from portroom.model.facts.gaps import Gap
from portroom.model.facts.sysctl_files import DANGLING, FILE, NULL, shown
from portroom.model.laws.sysctl_lines import with_slashes

MAIN = b"/etc/tuned/tuned-main.conf"
ACTIVE = b"/etc/tuned/active_profile"
POST_LOADED = b"/etc/tuned/post_loaded_profile"

SWAPS_SEPARATORS = (2, 22)
"""From this version on a dot becomes a slash and a slash a dot, whichever comes first."""

KNOWS_EXCLUSION = (2, 27)
"""From this version on there is ``reapply_sysctl_exclude``; 2.25 does not know it."""

REAPPLIED = (
    Place(b"/run/sysctl.d", TUNED, AFTER, (b".conf",)),
    Place(b"/etc/sysctl.d", TUNED, AFTER, (b".conf",)),
    Place(b"/etc/sysctl.conf", TUNED, AFTER),
)
"""What tuned applies again."""

UNIT = b"tuned.service"
UNIT_FOLDERS = (b"/etc/systemd/system", b"/usr/lib/systemd/system", b"/lib/systemd/system")
OPENRC_FOLDER = b"/etc/runlevels"


def read_tuned(
    keys: Sequence[str], root: bytes, version: Version | None
) -> tuple[Tuned, list[BootWriter], list[Gap]]:
    """
    Say what an installed tuned will do with the keys when it starts.

    Args:
        keys: Sysctl keys, with dots or slashes.
        root: The folder that stands for ``/``.
        version: That of the tuned that is installed, None for not known.

    Returns:
        What tuned does, what sets one of the keys, and what could not be read.
    """
    main = _main(root)
    names = [*_words(root, ACTIVE), *_words(root, POST_LOADED)]
    options, gaps = active_sysctls(root, names, main, version)
    gaps += _unread(root)
    starts = _starts(root)
    if not names and starts is not False:
        reason = "no active profile is named: tuned chooses one when it starts"
        gaps.append(Gap(shown(ACTIVE), reason, ("others",)))
    reapply = _reapply(main)
    tuned = Tuned(
        version=version,
        starts=starts,
        profiles=tuple(names),
        reapplies=options is not None and is_true(reapply),
        excluded=_excluded(main, version),
    )
    writers = list(_profile_writers(keys, options or {}, tuned))
    if tuned.reapplies:
        writers += _reapplied(keys, root, tuned, reapply)
    # A tuned that starts decides last, so what is missing of it may decide.
    affects = ("others",) if starts is False else ("keys",)
    return tuned, writers, [Gap(gap.source, gap.reason, affects) for gap in gaps]


def _main(root: bytes) -> Section:
    """Return the options of tuned-main.conf, which has no sections."""
    content = read_below(root, MAIN, LARGEST_PROFILE_BYTES).content
    return parse_profile(content, "", shown(MAIN)).get("", {})


def _words(root: bytes, path: bytes) -> list[str]:
    """Return the names in a file of tuned."""
    return shown(read_below(root, path, LARGEST_PROFILE_BYTES).content).split()


def _unread(root: bytes) -> Iterator[Gap]:
    """Yield the files of tuned that are there and cannot be read."""
    for path in (MAIN, ACTIVE, POST_LOADED):
        kind = read_below(root, path, LARGEST_PROFILE_BYTES).kind
        if kind not in {FILE, DANGLING, NULL}:
            yield Gap(shown(path), f"is a {kind}: not read", ("others",))


def _reapply(main: Section) -> Option:
    """Return the option that makes tuned apply sysctl files again; it is on by default."""
    return main.get(REAPPLY, Option("1", "", shown(MAIN), 0))


def _excluded(main: Section, version: Version | None) -> tuple[str, ...]:
    """Return the patterns of keys that are not applied again."""
    option = main.get("reapply_sysctl_exclude")
    if option is None or (version and version < KNOWS_EXCLUSION):
        return ()
    return tuple(filter(None, (part.strip() for part in re.split(r"[,;]", option.value))))


def _starts(root: bytes) -> bool | None:
    """Say whether tuned is started at boot, None where nothing tells."""
    wanted = [(folder, name) for folder in UNIT_FOLDERS for name in names_in(root, folder)]
    links = [b"%s/%s" % pair for pair in wanted if pair[1].endswith(b".wants")]
    links += [b"%s/%s" % (OPENRC_FOLDER, level) for level in names_in(root, OPENRC_FOLDER)]
    if any({UNIT, b"tuned"} & set(names_in(root, folder)) for folder in links):
        return True
    return False if any(name == UNIT for _, name in wanted) else None


def _profile_writers(keys: Sequence[str], options: Section, tuned: Tuned) -> Iterator[BootWriter]:
    """Yield a writer for each option of the profiles that sets one of the keys."""
    paths = {with_slashes(key.encode("utf-8", "surrogateescape")): key for key in keys}
    for name, option in options.items():
        for path in paths_of_key(name.encode("utf-8", "surrogateescape"), tuned.version):
            if key := paths.get(path):
                yield BootWriter(
                    kind=TUNED,
                    name=option.profile,
                    key=key,
                    value=re.sub(r'^"(.*)"$', r"\1", option.value),
                    file=option.file,
                    line=option.line,
                    when=_when(tuned),
                    sentence=_sentence(key, option, tuned),
                    conditional=option.conditional,
                )


def paths_of_key(name: bytes, version: Version | None) -> set[bytes]:
    """
    Return the paths below ``/proc/sys`` that a key of a profile may mean to tuned.

    >>> sorted(paths_of_key(b"net/ipv4.tcp_tw_reuse", (2, 20)))
    [b'net/ipv4/tcp_tw_reuse']
    >>> sorted(paths_of_key(b"net/ipv4/tcp_tw_reuse", (2, 25)))
    [b'net.ipv4.tcp_tw_reuse']
    """
    older = name.replace(b".", b"/")
    newer = name.translate(bytes.maketrans(b"./", b"/."))
    if version is None:
        return {older, newer}
    return {newer if version >= SWAPS_SEPARATORS else older}


def _reapplied(
    keys: Sequence[str], root: bytes, tuned: Tuned, option: Option
) -> Iterator[BootWriter]:
    """Yield a writer for each key that tuned finds in the files it applies again."""
    # What could not be read there is told by whoever reads sysctl files.
    lines, _ = read_traces(keys, root, REAPPLIED)
    named = {writer.key for writer in lines}
    for key in keys:
        if key in named and not any(fnmatch.fnmatchcase(key, one) for one in tuned.excluded):
            yield BootWriter(
                kind=TUNED,
                name=REAPPLY,
                key=key,
                value=None,
                file=option.file,
                line=option.line or None,
                when=_when(tuned),
                sentence=(
                    "tuned applies the files of /run/sysctl.d and /etc/sysctl.d, then "
                    f"/etc/sysctl.conf, again by rules of its own, and they name {key}."
                ),
            )


def _when(tuned: Tuned) -> str:
    """Return when tuned writes: after the boot program, unless nothing starts it."""
    return ANY_TIME if tuned.starts is False else AFTER


def _sentence(key: str, option: Option, tuned: Tuned) -> str:
    """Return what a profile does, when, on which machines, and who has the last word."""
    start = "when somebody starts it" if tuned.starts is False else "after the boot program"
    where = ", if the machine is one that its section is for" if option.conditional else ""
    what = f"tuned's profile {option.profile} sets {key} {start}{where}"
    if tuned.reapplies:
        return (
            f"{what}; a line of /run/sysctl.d, /etc/sysctl.d or /etc/sysctl.conf, "
            "which tuned applies again, still wins."
        )
    return f"{what}, and has the last word."
