"""What became of the things that a plan was made from: where it differs from one made now.

Rules of this file:

- a plan is stale only if now something else would be written, or from something
  else; what differs besides explains it and makes no plan stale by itself;
- every difference says what there is, and what there was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

from portroom.model.advice.spelling import NONE
from portroom.model.advice.wording import listed
from portroom.model.facts.answers import RangeEnds
from portroom.model.facts.change import (
    PERSIST_ONLY,
    WARNING,
    ChangePlan,
    Collision,
    FileContent,
    FileStep,
    SettingChange,
    file_steps,
    setting_steps,
)
from portroom.model.facts.settings import setting_named
from portroom.model.laws.acceptance import RESERVED_KEY

RESERVED_NAME = setting_named(RESERVED_KEY).name

LONGEST_SHOWN = 60
"""Characters of a value, or of a line, in a sentence."""


def staleness(old: ChangePlan, now: ChangePlan) -> tuple[str, ...]:
    """
    Return what is no longer as it was, each as a clause; nothing if the same would be written.

    Args:
        old: The plan as it was made.
        now: The same request planned again, in the same namespace.
    """
    if _essence(old) == _essence(now):
        return ()
    found = [*_settings(old, now), *_kept(old, now), *_files(old, now), *_collisions(old, now)]
    return tuple(found) or ("the same would be written in another order",)


def _essence(plan: ChangePlan) -> object:
    """Return what two plans of the same must share: the comment in a file has a date."""
    live = [(one.key, one.before, one.after) for one in setting_steps(plan.steps)]
    files = {path: (one.before, one.after is None) for path, one in _steps(plan).items()}
    return live, files, plan.persistence.values if plan.persistence else {}


def _steps(plan: ChangePlan) -> dict[str, FileStep]:
    """Return the files of a plan, by path."""
    return {one.path: one for one in file_steps(plan.steps)}


# Settings.


def _settings(old: ChangePlan, now: ChangePlan) -> Iterator[str]:
    """Yield the settings that have, or would get, another value."""
    if now.request.where == PERSIST_ONLY:
        return
    before = {one.name: one for one in old.changes}
    after = {one.name: one for one in now.changes}
    # The list last: it may follow from the others.
    names = sorted({**before, **after}, key=lambda name: name == RESERVED_NAME)
    for name in names:
        yield from _setting(name, before.get(name), after.get(name))


def _setting(name: str, old: SettingChange | None, now: SettingChange | None) -> Iterator[str]:
    """Yield how one setting differs."""
    if old and now:
        if old.before != now.before:
            yield f"{name} is {_typed(now.before)}, and was {_typed(old.before)}"
        if old.after != now.after:
            yield f"{name} would become {_typed(now.after)}, and not {_typed(old.after)}"
        return
    # Other settings have the wanted value where they do not change; this one is made from others.
    made = name == RESERVED_NAME
    if old:
        there, was = _typed(old.after), _typed(old.before)
        yield (
            f"{name} would not change, and would have, from {was} to {there}"
            if made
            else f"{name} is {there} already, and was {was}"
        )
    if now:
        there, was = _typed(now.before), _typed(now.after)
        yield (
            f"{name} would change from {there} to {was}, and did not have to"
            if made
            else f"{name} is {there}, and was {was}"
        )


def _typed(value: int | str | RangeEnds) -> str:
    """
    Return a value as it is typed, cut if it is long.

    >>> _typed(RangeEnds(15000, 64001)), _typed("")
    ('15000-64001', 'none')
    """
    text = f"{value.first}-{value.last}" if isinstance(value, RangeEnds) else str(value) or NONE
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


# Files.


def _kept(old: ChangePlan, now: ChangePlan) -> Iterator[str]:
    """Yield the sysctls of which a file would say something else."""
    before, after = _values(old), _values(now)
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            said, was = (_typed(values.get(key, "")) for values in (after, before))
            yield f"the file would say {key} = {said}, and not {was}"


def _values(plan: ChangePlan) -> Mapping[str, str]:
    """Return what the next boot is to give, by sysctl."""
    return plan.persistence.values if plan.persistence else {}


def _files(old: ChangePlan, now: ChangePlan) -> Iterator[str]:
    """Yield how portroom's own files differ, and which of them would be written."""
    before, after = _steps(old), _steps(now)
    for path in before.keys() & after.keys():
        yield from _file(path, before[path].before, after[path].before)
    if before.keys() != after.keys():
        names, were = (" and ".join(sorted(one)) or "no file" for one in (after, before))
        yield f"by what the boot reads now, {names} would be written, and not {were}"


def _file(path: str, old: FileContent | None, now: FileContent | None) -> Iterator[str]:
    """Yield how one file differs: the first line of it that does."""
    if old is None or now is None:
        if now is not old:
            yield f"{path} exists, and did not" if now else f"{path} is gone"
        return
    if old.mode != now.mode:
        yield f"the mode of {path} is {now.mode:04o}, and was {old.mode:04o}"
    lines = zip_longest(now.content.splitlines(), old.content.splitlines())
    for number, (line, was) in enumerate(lines, 1):
        if line != was:
            yield f"line {number} of {path} is {_line(line)}, and was {_line(was)}"
            return


def _line(line: bytes | None) -> str:
    """Return a line in quotes, hostile text; None is none."""
    if line is None:
        return "missing"
    return ascii(line.decode("utf-8", "backslashreplace")[:LONGEST_SHOWN])


# What counts on ports.


def _collisions(old: ChangePlan, now: ChangePlan) -> Iterator[str]:
    """Yield what the range takes in and did not, and the other way round."""
    before, after = _inside(old), _inside(now)
    for words, found, others in (
        ("newly inside the range", after, before),
        ("not newly inside the range any more", before, after),
    ):
        names = [_port_words(one) for place, one in found.items() if place not in others]
        if names:
            yield f"{words}: {listed(names)}"


def _inside(plan: ChangePlan) -> dict[tuple[str, str, int], Collision]:
    """Return the collisions that refuse, or are reserved; clients come and go."""
    found = (one for one in plan.collisions if one.severity != WARNING)
    return {(one.kind, one.protocol, one.first): one for one in found}


def _port_words(one: Collision) -> str:
    """Return the ports of a collision, what it is and whose; names are hostile text."""
    ports = one.first if one.first == one.last else f"{one.first}-{one.last}"
    whose = [f"{owner.command}, pid {owner.pid}" for owner in one.owners[:1]] or [one.label]
    return f"{one.protocol} {ports} ({', '.join(filter(None, [one.kind, *whose]))})"
