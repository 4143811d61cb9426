"""What a shell is offered for a word that was begun: files, namespaces, numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem


def complete_file(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return that the shell is to offer its files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(begun, type="file")]


def complete_folder(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return that the shell is to offer its folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(begun, type="dir")]


def complete_netns(
    context: click.Context, parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Return the names of network namespaces that begin so; files where a path was begun."""
    if "/" in begun:
        return complete_file(context, parameter, begun)
    from portroom.api.completion import netns_names

    return _offered(netns_names(), begun)


def complete_trial(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the numbers of trials that wait and begin so."""
    from portroom.api.completion import trial_numbers

    return _offered(trial_numbers(), begun)


def complete_change(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the numbers of changes that could be undone and begin so."""
    from portroom.api.completion import change_numbers

    return _offered(change_numbers(), begun)


def _offered(words: Iterable[str], begun: str) -> list[CompletionItem]:
    """Return words that begin so."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words if word.startswith(begun)]
