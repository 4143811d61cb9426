"""How an answer reaches the user: the terminal's style, the format, the pager."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from portroom.cli.files import discard_output
from portroom.errors import WriteError

if TYPE_CHECKING:
    from portroom.render.units import Style

FORMATS = ("table", "wide", "json", "jsonl", "csv")


class Screen(Protocol):
    """What a module of ``render`` offers for one kind of answer."""

    def as_text(self, answer: Any, style: Style, /) -> str:
        """Return one answer for a terminal."""

    def all_as_text(self, answers: Sequence[Any], style: Style, /) -> str:
        """Return the answers of all namespaces for a terminal."""

    def as_csv_text(self, answers: Sequence[Any], /) -> str:
        """Return a line a row, with a column for the namespace."""

    def as_json(self, answer: Any, /) -> str:
        """Return one answer as a JSON object."""

    def as_jsonl(self, answer: Any, /) -> str:
        """Return a JSON object a line."""


def show(
    answers: Sequence[Any],
    screen: Any,
    *,
    output: str,
    plain: bool,
    all_netns: bool = False,
    pager: bool = False,
) -> None:
    """
    Write answers in the format that was asked for.

    Args:
        answers: One a namespace.
        screen: The module of ``render`` for this kind of answer, see Screen.
        output: One of FORMATS.
        plain: ASCII glyphs, though the terminal may have more.
        all_netns: The user asked for all namespaces, be they one or many.
        pager: A text longer than the terminal goes through the pager.
    """
    if output in {"table", "wide"}:
        look = style(plain=plain, wide=output == "wide")
        one = len(answers) == 1 and not all_netns
        text = screen.as_text(answers[0], look) if one else None
        text = screen.all_as_text(answers, look) if text is None else text
        write_text(text, look, pager=pager)
    else:
        write(as_data(answers, screen, output, all_netns=all_netns).encode())
        tell_gaps(answers, output)


def as_data(answers: Sequence[Any], screen: Any, output: str, *, all_netns: bool) -> str:
    """Return answers for a program: as JSON, JSON lines or CSV."""
    from portroom.render.document import as_json_all

    if output == "csv":
        return str(screen.as_csv_text(answers))
    if output == "jsonl":
        return "".join(screen.as_jsonl(answer) for answer in answers)
    if all_netns:
        at = min(answer.taken_at for answer in answers)
        return as_json_all(answers, answers[0].host, at)
    return str(screen.as_json(answers[0]))


def tell_gaps(answers: Sequence[Any], output: str) -> None:
    """Tell gaps on stderr for the formats that have no place for them."""
    if output not in {"csv", "jsonl"}:
        return
    from portroom.render.gaps import as_sentence, is_unseen

    gaps = [gap for answer in answers for gap in answer.gaps]
    told = (as_sentence(gap) for gap in gaps if not is_unseen(gap))
    for sentence in dict.fromkeys(told):
        talk(sentence)


def talk(sentence: str) -> None:
    """Write a sentence for the person at the terminal to stderr, if somebody reads it."""
    if drawing := sys.modules.get("portroom.cli.progress"):
        drawing.clear()
    try:
        sys.stderr.write(f"portroom: {sentence}\n")
        sys.stderr.flush()
    except (OSError, AttributeError, ValueError):
        discard_output(sys.stderr)


def style(*, plain: bool = False, wide: bool = False) -> Style:
    """Return what the terminal can show."""
    from portroom.render.units import Style

    return Style(
        width=_size("COLUMNS", 0),
        colour=has_colour(),
        ascii=plain or not is_utf8(),
        wide=wide,
        height=_size("LINES", 1) if is_terminal() else 0,
    )


def _size(variable: str, place: int) -> int:
    """Return columns or lines of the terminal; 0 where there is none to fit."""
    wanted = os.environ.get(variable, "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    try:
        return os.get_terminal_size(sys.stdout.fileno())[place] if is_terminal() else 0
    except (OSError, ValueError):
        return 0


def is_terminal() -> bool:
    """Say whether a person looks at standard output; it may be closed."""
    return bool(sys.stdout and sys.stdout.isatty())


def has_colour() -> bool:
    """
    Say whether to write colours.

    Source: no-color.org; bixense.com/clicolors.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") != "0":
        return True
    return is_terminal() and os.environ.get("TERM", "dumb") != "dumb"


def is_utf8() -> bool:
    """
    Say whether the terminal takes UTF-8, by the locale that the user set.

    Python itself turns the C locale into C.UTF-8 and says so in LC_CTYPE
    (PEP 538); what the user set stands in LANG then.
    """
    setting = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE", "")
    if setting in {"", "C.UTF-8"}:
        setting = os.environ.get("LC_ALL") or os.environ.get("LANG", "")
    stated = "utf8" in setting.lower().replace("-", "")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return stated and "utf" in encoding.lower()


def write_text(text: str, look: Style, *, pager: bool = False) -> None:
    """Write text for a person, through the pager where it is too long."""
    encoding = "ascii" if look.ascii else "utf-8"
    content = text.encode(encoding, "backslashreplace")
    if pager and look.height and text.count("\n") >= look.height:
        import click

        # As git does: end on one screen, keep colours, leave the text standing.
        os.environ.setdefault("LESS", "FRX")
        click.echo_via_pager(content.decode(), color=look.colour)
    else:
        write(content)


def tell(text: str, look: Style) -> None:
    """Write text for a person, all of it at once and never through a pager."""
    write_text(text, look)


def write(content: bytes) -> None:
    """
    Write bytes to standard output.

    Raises:
        BrokenPipeError: Nobody reads any more.
        WriteError: The disk is full, or there is no standard output.
    """
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except (OSError, AttributeError) as error:
        raise refusal(error) from None


def flush() -> None:
    """Write out what click left in the buffer; raises as ``write`` does."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise refusal(error) from None


def refusal(error: Exception) -> WriteError:
    """Return the error of a standard output that takes nothing, and give it up."""
    discard_output(sys.stdout)
    reason = getattr(error, "strerror", None) or "it is closed"
    return WriteError(f"Could not write to standard output: {reason!r}.")
