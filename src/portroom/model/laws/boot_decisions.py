"""From what was read of the next boot to the Answer: which line decides each sysctl."""

from __future__ import annotations

from collections.abc import Collection

from portroom.errors import InvalidRequestError
from portroom.model.facts.boot import EVERY_KEY, BootFacts, BootWriter
from portroom.model.facts.boot_answer import Boot, BootKey, BootOther
from portroom.model.facts.gaps import Gap
from portroom.model.facts.settings import kernel_text, setting_named
from portroom.model.facts.snapshot import Settings, Snapshot
from portroom.model.laws.acceptance import KNOWN
from portroom.model.laws.boot_candidates import as_file_line, candidates
from portroom.model.laws.boot_doubts import NAMES, Asked, doubts, of_keys
from portroom.model.laws.boot_notes import evidence, notes
from portroom.model.laws.next_boot import NextBoot, is_applied_again, next_boot
from portroom.model.laws.patterns import is_pattern
from portroom.model.laws.sysctl_lines import with_dots, with_slashes


def key_named(word: str) -> str:
    """
    Return the sysctl key that a person means, with dots.

    Args:
        word: What ``setting_named`` takes, or the key of any other sysctl, also
            as a path below ``/proc/sys``.

    Raises:
        InvalidRequestError: It is neither a setting nor the key of one sysctl.

    >>> key_named("range"), key_named("/proc/sys/net/ipv4/conf/eth0.1/mtu")
    ('net.ipv4.ip_local_port_range', 'net.ipv4.conf.eth0/1.mtu')
    """
    name = word.removeprefix("/proc/sys/").encode("utf-8", "surrogateescape")
    path = with_slashes(name)
    if b"/" not in path:
        try:
            return setting_named(word).key
        except InvalidRequestError as error:
            hint = f"{error.hint} Write any other sysctl as a.b.c."
            raise InvalidRequestError(error.message, hint) from None
    if is_pattern(path) or {b"", b".", b".."} & set(path.split(b"/")) or b"=" in path:
        raise InvalidRequestError(f"{word!r} is not the key of one sysctl.", "Write it as a.b.c.")
    return with_dots(path).decode("utf-8", "surrogateescape")


def held_texts(settings: Settings) -> dict[str, str]:
    """Return what settings hold as the kernel writes it, by sysctl key."""
    return {key: kernel_text(value) for key, value in settings.values.items()}


def boot_answer(
    snapshot: Snapshot, facts: BootFacts | Gap, asked: Asked, program: str | None = None
) -> Boot:
    """
    Return what decides each wanted sysctl at the next boot.

    Args:
        snapshot: Says whose answer it is.
        facts: All that was read of the next boot, or why nothing was.
        asked: The sysctls, and what is known of them now.
        program: As for ``next_boot``.
    """
    if isinstance(facts, Gap):
        return _unanswered(snapshot, facts, asked)
    unknown = (key for key in asked.wanted if asked.exists(key) is None)
    existing = None if asked.existing is None else {*asked.existing, *unknown}
    found = next_boot(facts, existing, asked.wanted, program)
    return Boot(
        host=snapshot.host,
        taken_at=snapshot.taken_at,
        netns=snapshot.netns,
        gaps=tuple(doubts(facts, found, asked, program)),
        program=found.course.program,
        keys=tuple(_key(key, found, asked) for key in asked.wanted),
        program_version=_version(found),
        evidence=evidence(facts, program, found.course.program),
        notes=tuple(notes(facts, program, found, asked.wanted)),
        writers=_writers(facts, asked.wanted),
        root=facts.root,
    )


def _unanswered(snapshot: Snapshot, gap: Gap, asked: Asked) -> Boot:
    """Return the answer of a Snapshot that has no part ``boot``."""
    unknown = Gap(gap.source, gap.reason, of_keys(asked.wanted, "value", "winner", "others"))
    keys = [
        BootKey(
            key=key,
            value=None,
            winner=None,
            candidates=(),
            programs_differ=False,
            others={},
            name=NAMES.get(key, key),
            current=asked.held(key),
            default=_default(key),
            exists=True if asked.held(key) is not None else None,
        )
        for key in asked.wanted
    ]
    return Boot(
        host=snapshot.host,
        taken_at=snapshot.taken_at,
        netns=snapshot.netns,
        gaps=(unknown,),
        program=None,
        keys=tuple(keys),
        program_version=None,
        evidence="",
        notes=(),
        writers=(),
        root="/",
    )


def _key(key: str, found: NextBoot, asked: Asked) -> BootKey:
    """Return what decides one sysctl."""
    holding = found.course.holdings[key]
    exists = asked.exists(key)
    return BootKey(
        key=key,
        value=holding.value,
        winner=as_file_line(holding.winner),
        candidates=candidates(key, found.course),
        programs_differ=found.programs_differ(key),
        others={
            other.program: BootOther(
                other.holdings[key].value, as_file_line(other.holdings[key].winner)
            )
            for other in found.others
        },
        name=NAMES.get(key, key),
        current=asked.held(key),
        default=None if exists is False else _default(key),
        exists=exists,
    )


def _default(key: str) -> str | None:
    """Return what the kernel starts with, None where the machine decides or nobody knows."""
    row = KNOWN.get(key)
    return row.default if row else None


def _version(found: NextBoot) -> str | None:
    """Return the version of the program as text."""
    version = found.course.version
    return None if version is None else ".".join(map(str, version))


def _writers(facts: BootFacts, wanted: Collection[str]) -> tuple[BootWriter, ...]:
    """Return what else sets the keys, but for lines that are candidates already."""
    return tuple(
        one
        for one in facts.writers
        if one.key in wanted or one.key == EVERY_KEY
        if not is_applied_again(one)
    )
