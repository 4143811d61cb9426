"""What a change is asked with: the options of `set` and `plan`, and the words of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

import click

from portroom.cli.complete import complete_netns

if TYPE_CHECKING:
    from portroom.model.facts.change import Request

Command = Callable[..., Any]

TRIAL_S = 120
"""How long `--try` waits for the confirmation."""

SHORTEST_S, LONGEST_S = 10, 3600

UNITS_S = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


class Options(TypedDict):
    """The options that `set` and `plan` share."""

    persist: bool
    persist_only: bool
    trial: bool
    trial_s: int | None
    reserve: bool
    force: bool


def duration_s(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """
    Return a span of time in seconds, within the bounds of a trial.

    Raises:
        BadParameter: It is none, or out of bounds.
    """
    if text is None:
        return None
    seconds = parse_duration(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is no time: write 300s, 5m, or 300 for seconds.")
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise click.BadParameter(f"{text!r} is not between {SHORTEST_S}s and 1h.")
    return seconds


def parse_duration(text: str) -> int | None:
    """
    Return a span of time in seconds, None where the text is none.

    >>> [parse_duration(text) for text in ("90", "300s", "5m", "1h", "5 m", "1.5m", "-5")]
    [90, 300, 300, 3600, None, None, None]
    """
    amount = text.rstrip("smhin")
    unit = text[len(amount) :]
    is_number = amount.isascii() and amount.isdecimal() and len(amount) < 10
    return int(amount) * UNITS_S[unit] if is_number and unit in UNITS_S else None


def complete_word(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return NAME= of the settings that begin so, for ports NAME+= and NAME-= too."""
    from portroom.model.facts.settings import SETTINGS, ValueType

    words = []
    for row in SETTINGS:
        if row.writable:
            name = row.key if "." in begun else row.name
            operators = ("=", "+=", "-=") if row.type is ValueType.PORTS else ("=",)
            words += [name + operator for operator in operators]
    return [word for word in words if word.startswith(begun)]


def change_options(command: Command) -> Command:
    """Add the words, and the options that say how a change is to be made."""
    for option in reversed(OPTIONS):
        command = option(command)
    return click.argument(
        "words", metavar="NAME=VALUE...", nargs=-1, required=True, shell_complete=complete_word
    )(command)


OPTIONS = (
    click.option("--persist", is_flag=True, help="Keep it at the next boot, too."),
    click.option(
        "--persist-only",
        is_flag=True,
        help="Write the file for the next boot alone; leave the kernel as it is.",
    ),
    click.option(
        "--try",
        "trial",
        is_flag=True,
        help=f"Take it back after {TRIAL_S} s, unless `portroom confirm` comes.",
    ),
    click.option(
        "--try-for",
        "trial_s",
        callback=duration_s,
        metavar="DURATION",
        help="The same after so long: 300s, 5m, 1h; from 10s to 1h.",
    ),
    click.option(
        "--reserve",
        is_flag=True,
        help="Reserve the ports that the new range would take from others.",
    ),
    click.option(
        "--force", is_flag=True, help="Go on where the plan is refused but can be forced."
    ),
    click.option(
        "--netns",
        metavar="NAME|PID|PATH",
        shell_complete=complete_netns,
        help="Change this network namespace, not the own one.",
    ),
    click.option("--all-netns", is_flag=True, help="Change every network namespace."),
)


def request(words: tuple[str, ...], options: Options) -> Request:
    """
    Return what is asked for.

    Raises:
        UsageError: The options contradict each other.
    """
    from portroom.model.facts.change import LIVE, PERSIST, PERSIST_ONLY, Request

    _exclude("--persist", options["persist"], "--persist-only", options["persist_only"])
    is_trial = options["trial"] or options["trial_s"] is not None
    _exclude("--try", options["trial"], "--try-for", options["trial_s"] is not None)
    _exclude("--persist-only", options["persist_only"], "a trial", is_trial)
    where = PERSIST_ONLY if options["persist_only"] else PERSIST if options["persist"] else LIVE
    trial_s = options["trial_s"] or (TRIAL_S if options["trial"] else 0)
    return Request(words, where, options["reserve"], options["force"], trial_s)


def _exclude(one: str, has_one: bool, other: str, has_other: bool) -> None:
    """Refuse two options together."""
    if has_one and has_other:
        raise click.UsageError(f"{one} and {other} exclude each other.")
