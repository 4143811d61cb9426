"""How `confirm`, `undo` and `recover` tell what they touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portroom.cli.output import as_data, style, tell, write
from portroom.errors import ConflictError

if TYPE_CHECKING:
    from portroom.model.facts.journal import Journal


def tell_touched(
    journal: Journal, output: str, plain: bool, *, nothing: str, dry_run: bool = False
) -> None:
    """
    Show the entries that a command touched.

    Args:
        journal: They are its entries.
        output: The format.
        plain: ASCII glyphs alone.
        nothing: A sentence for no entry.
        dry_run: They would have been touched.

    Raises:
        ConflictError: Something was left because somebody else had changed it.
    """
    from portroom.cli.changing import PEOPLE, told_anyway
    from portroom.render import entries as screen

    look = style(plain=plain, wide=output == "wide")
    number = journal.entries[0].number if journal.entries and not dry_run else None
    with told_anyway(number):
        if output in PEOPLE:
            tell(screen.touched_text(journal, look, nothing, dry_run=dry_run), look)
        else:
            write(as_data([journal], screen, output, all_netns=False).encode())
    if sentence := screen.conflict(journal):
        raise ConflictError(sentence)
