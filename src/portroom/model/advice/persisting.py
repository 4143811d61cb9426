"""How a change is made to hold at the next boot: in which file, under which name.

Rules of this file:

- one own file, and no other is ever touched; which of its names wins is asked of
  the law, with the file in its place, and never assumed;
- a file is planned only if every wanted sysctl then has its value after the next
  boot, and no other sysctl gets another one;
- where no name does that the plan is refused (``obstacles`` says what decides).
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from portroom.model.advice.boot_cautions import cautions, others
from portroom.model.advice.obstacles import Tried, faults, obstacles
from portroom.model.advice.own_lines import Note, says_nothing, with_settings, without_settings
from portroom.model.advice.reasons import reason
from portroom.model.facts.boot import BootFacts
from portroom.model.facts.change import FileContent, FileStep, Persistence, Reason, Request
from portroom.model.facts.sysctl_files import FILE, OWN_FOLDER, SysctlFile, shown
from portroom.model.facts.sysctl_files import OWN_PATHS as PATHS
from portroom.model.laws.acceptance import RANGE_KEY, START_KEY
from portroom.model.laws.next_boot import Course, next_boot

__all__ = ["PATHS", "FilePlan", "Note", "Own", "plan_file", "unmet"]

Steps = tuple[FileStep, ...]


class Own(NamedTuple):
    """
    What there is of ours now.

    Args:
        files: Content by path, of those of OWN_PATHS that exist.
        has_folder: Whether OWN_FOLDER exists.
    """

    files: Mapping[str, FileContent]
    has_folder: bool = True


class FilePlan(NamedTuple):
    """
    What would be written to files, how that holds, and what to know before.

    Without steps nothing needs to be written; where a reason refuses, nothing may.
    ``persistence`` is None then.
    """

    steps: Steps = ()
    persistence: Persistence | None = None
    reasons: tuple[Reason, ...] = ()


def plan_file(
    facts: BootFacts,
    existing: Collection[str] | None,
    wanted: Mapping[str, str],
    own: Own,
    note: Note,
    request: Request | None = None,
) -> FilePlan:
    """
    Return which file is to be written so that sysctls hold at the next boot.

    Args:
        facts: What decides at the next boot of the host whose file it is.
        existing: The sysctls that its kernel has, None to take all for granted.
        wanted: Canonical text by sysctl, in the order of the lines.
        own: What there is of ours now.
        note: What the comments say.
        request: Whose ``--force`` lifts what may be lifted.
    """
    in_the_way = tuple(_in_the_way(facts))
    if in_the_way:
        return FilePlan(reasons=in_the_way)
    before = next_boot(facts, existing)
    tries = []
    for steps in _ways(before.course, wanted, own, note):
        found = next_boot(_with(facts, steps), existing)
        tried = Tried(before.course, found, wanted)
        if not faults(tried):
            reasons = (*cautions(facts, tried, request), *_nothing(steps, wanted, found.course))
            return FilePlan(steps, _persistence(facts, tried, own, steps), reasons)
        tries.append(tried)
    return FilePlan(reasons=obstacles(tries))


def unmet(
    facts: BootFacts, existing: Collection[str] | None, wanted: Mapping[str, str]
) -> tuple[Reason, ...]:
    """
    Return why sysctls do not hold at the next boot, nothing if they do.

    To be asked with what was read after a file was written.

    Args:
        facts: What decides at the next boot.
        existing: As for plan_file().
        wanted: Canonical text by sysctl.
    """
    found = next_boot(facts, existing)
    return obstacles([Tried(found.course, found, wanted)])


def _in_the_way(facts: BootFacts) -> Iterator[Reason]:
    """Refuse to write where one of our names is no plain file, as a link that switches it off."""
    for file in facts.tree.files:
        if shown(file.path) in PATHS and (file.link or file.kind != FILE):
            what = f"a link to {shown(file.link)}" if file.link else f"a {file.kind}"
            yield reason(
                "own_name_taken",
                f"{shown(file.path)} is {what}, and no file of portroom's.",
                f"Remove it if portroom may keep settings in {OWN_FOLDER}.",
            )


# Which files would do, the least change first.


def _ways(course: Course, wanted: Mapping[str, str], own: Own, note: Note) -> Iterator[Steps]:
    """Yield the steps that may do, the least change first."""
    if all(_is_decided(course, key, text) for key, text in wanted.items()):
        yield ()
    for path in sorted(PATHS, key=lambda path: path not in own.files):
        for settings in _orders(wanted):
            for steps in _placed(path, settings, wanted, own, note):
                yield _finished(steps, own)


def _is_decided(course: Course, key: str, text: str) -> bool:
    """Say whether a line gives a sysctl its value already."""
    return course.state.get(key) == text and course.holdings[key].winner is not None


def _orders(wanted: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """
    Yield the lines to be written, in the orders that may matter.

    The kernel judges the range by the first unprivileged port, and the other way
    round. An empty list is last tried by no line at all: some programs take a
    line without value for broken, and the list is empty when the kernel starts.
    """
    filled = {key: text for key, text in wanted.items() if text}
    for settings in (dict(wanted), filled) if len(filled) < len(wanted) else (dict(wanted),):
        yield settings
        if {RANGE_KEY, START_KEY} <= settings.keys():
            yield dict(reversed(settings.items()))


def _placed(
    path: str, settings: Mapping[str, str], wanted: Mapping[str, str], own: Own, note: Note
) -> Iterator[Steps]:
    """Yield the ways to have lines in one file: with what is there, or of an earlier name."""
    here = own.files.get(path)
    if here or not own.files:
        yield (_written(path, here, _text(here, settings, wanted, note)),)
        return
    # The last one in the order of the names, as it is the nearest.
    earlier, there = max(own.files.items(), key=lambda one: PATHS.index(one[0]))
    moved = _written(path, None, _text(there, settings, wanted, note))
    yield moved, FileStep(earlier, there, None)
    rest = without_settings(there.content, wanted)
    alone = _written(path, None, _text(None, settings, wanted, note))
    yield alone, _written(earlier, there, rest)


def _text(
    before: FileContent | None,
    settings: Mapping[str, str],
    wanted: Mapping[str, str],
    note: Note,
) -> bytes:
    """Return the content of a file that says nothing else of what is wanted."""
    return with_settings(
        without_settings(before.content if before else b"", wanted), settings, note
    )


def _written(path: str, before: FileContent | None, content: bytes) -> FileStep:
    """Return the step that writes a content."""
    return FileStep(path, before, None if says_nothing(content) else FileContent(content))


def _finished(steps: Steps, own: Own) -> Steps:
    """Return the steps that do something, the first of which makes the folder if need be."""
    return tuple(
        msgspec.structs.replace(step, makes_folder=not own.has_folder)
        for step in steps
        if step.before is None or step.after is None or step.before.content != step.after.content
        if step.before is not step.after
    )


# What the law says of them.


def _with(facts: BootFacts, steps: Steps) -> BootFacts:
    """Return what decides at the next boot once the steps are done."""
    contents = {step.path.encode(): step.after.content if step.after else None for step in steps}
    files = [_through(file, contents) for file in facts.tree.files if file.path not in contents]
    files += [
        SysctlFile(path, FILE, content) for path, content in contents.items() if content is not None
    ]
    tree = facts.tree._replace(files=tuple(files))
    return msgspec.structs.replace(facts, tree=tree)


def _through(file: SysctlFile, contents: Mapping[bytes, bytes | None]) -> SysctlFile:
    """Return a file as it is read once others are written, if it is a link to one of them."""
    target = posixpath.normpath(posixpath.join(file.directory, file.link)) if file.link else b""
    content = contents.get(target)
    return file if content is None else file._replace(kind=FILE, content=content)


def _persistence(
    facts: BootFacts, tried: Tried, own: Own, steps: Sequence[FileStep]
) -> Persistence:
    """Return how the change holds."""
    course = tried.found.course
    winners = [course.holdings[key].winner for key in tried.wanted]
    paths = [step.path for step in steps if step.after]
    paths += [shown(one.path) for one in winners if one]
    return Persistence(
        path=[*paths, *own.files, PATHS[0]][0],
        program=course.program if facts.program.program else None,
        others=tuple(others(facts, tried)),
        values=dict(tried.wanted),
    )


def _nothing(steps: Steps, wanted: Mapping[str, str], course: Course) -> Iterator[Reason]:
    """Yield which lines keep the values already, where nothing is to be written."""
    if steps:
        return
    places = dict.fromkeys(course.holdings[key].winner for key in wanted)
    told = [f"{shown(one.path)}:{one.line}" for one in places if one]
    by = f" by {', '.join(told)}" if told else ", with the kernel's default"
    yield reason("persisted_already", f"The next boot gives that already{by}; no file is written.")
