"""Boot: which line decides each sysctl at the next boot. Changes nothing."""

from __future__ import annotations

from portroom.api.source import Live, Saved, Source
from portroom.errors import InvalidRequestError
from portroom.kernel.boot import HERE, read_boot, read_held
from portroom.kernel.snapshot import Wanted, take
from portroom.model.facts.boot_answer import Boot
from portroom.model.facts.gaps import Gap
from portroom.model.facts.questions import BootQuestion
from portroom.model.facts.settings import KEYS
from portroom.model.facts.snapshot import Snapshot
from portroom.model.laws.boot_decisions import boot_answer, held_texts, key_named
from portroom.model.laws.boot_doubts import Asked
from portroom.model.laws.boot_reach import ONLY_INITIAL, barred

HERE_ITSELF = Live()


def boot(question: BootQuestion, source: Source = HERE_ITSELF) -> Boot:
    """
    Say which file and line decides each sysctl at the next boot.

    Args:
        question: Which program, which system, and which sysctls.
        source: The kernel or a saved Snapshot. Files that apply at boot belong
            to the system: what they do not reach has no value now.

    Raises:
        InvalidRequestError: There is no such setting, root, or both a root and
            a saved Snapshot are asked for.
        NotPermittedError: The root may not be entered.
    """
    wanted = tuple(dict.fromkeys(map(key_named, question.keys))) or KEYS
    if not isinstance(source, Saved):
        return _live(question, wanted)
    if question.root is not None:
        raise InvalidRequestError("--root and --snapshot exclude each other.", "Give one of them.")
    return _saved(question, source.snapshot, wanted)


def _live(question: BootQuestion, wanted: tuple[str, ...]) -> Boot:
    """Return the answer of this system, or of a tree that is none."""
    every = tuple(dict.fromkeys((*KEYS, *wanted)))
    root = HERE if question.root is None else question.root
    read = take(Wanted())
    facts = read_boot(root, keys=every)
    if facts.root != HERE:
        return boot_answer(read, facts, Asked(wanted), question.program)
    held = read_held(every)
    current = {key: text for key, text in held.items() if text is not None}
    # The kernel has it, and files set it, though another namespace does not show it.
    existing = {*held, ONLY_INITIAL}
    asked = Asked(wanted, current, existing, barred=barred(read, wanted, looked=True))
    return boot_answer(read, facts, asked, question.program)


def _saved(question: BootQuestion, read: Snapshot, wanted: tuple[str, ...]) -> Boot:
    """Return the answer of a saved Snapshot, which knows the values of all settings."""
    if isinstance(read.settings, Gap):
        return boot_answer(read, read.boot, Asked(wanted, {}, None, wanted), question.program)
    current = held_texts(read.settings)
    others = [key for key in wanted if key not in KEYS]
    reasons = barred(read, wanted, looked=not isinstance(read.boot, Gap))
    asked = Asked(wanted, current, {*current, ONLY_INITIAL}, others, reasons)
    return boot_answer(read, read.boot, asked, question.program)
