"""
The console examples of the documentation: find them, run them, compare their shape.

An example is a fenced ``console`` block below a line ``<!-- example: CROWD -->``, in which
a line after ``$ `` is a command (``> `` continues it) and the rest is what it printed. All
examples of one page that share a crowd share one shell; what a page changes, none other sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

from tests.docs import demo
from tests.docs.pages import name_of

BLOCK = re.compile(r"(?m)^<!-- example: (\w+) -->\n```console\n(.*?)^```$", re.DOTALL)
COMMANDS_A_HOST = 20
"""A host lives for a minute; a command takes a second even where much else runs."""

COMMAND = re.compile(r"(?m)^\$ (.*(?:\n> .*)*)\n")


class Example(NamedTuple):
    """One command of a page, by its place there, and what the page says that it prints."""

    page: str
    place: int
    crowd: str
    command: str
    shown: str


def find(pages: Mapping[Path, str]) -> list[Example]:
    """Return every example of some pages, in their order."""
    return [example for path, text in pages.items() for example in on_page(path, text)]


def on_page(path: Path, text: str) -> Iterator[Example]:
    """Yield the examples of one page."""
    place = count()
    for block in BLOCK.finditer(text):
        for command, shown in split(block[2]):
            yield Example(name_of(path), next(place), block[1], command, shown)


def split(block: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a block as one text, and what stands below it."""
    parts = COMMAND.split(block)
    for command, shown in zip(parts[1::2], parts[2::2], strict=True):
        yield command.replace("\n> ", "\n"), shown


def run(examples: list[Example]) -> dict[Example, str]:
    """
    Return what each example prints now.

    The hosts that spend their time waiting are made beside the others. Two hosts in
    which something is traced are never there at once, since a trace sees the failures
    of both.
    """
    apart = (demo.SLOW, demo.TRACED)
    every = [[example for example in examples if example.crowd in crowds] for crowds in apart]
    every.append(
        [example for example in examples if example.crowd not in frozenset().union(*apart)]
    )
    with ThreadPoolExecutor() as lanes:
        return dict(chain.from_iterable(lanes.map(in_turn, every)))


def in_turn(examples: list[Example]) -> list[tuple[Example, str]]:
    """Return each example with what it prints now, one host after the other."""
    printed: list[tuple[Example, str]] = []
    for crowd in dict.fromkeys(example.crowd for example in examples):
        pages = by_page(example for example in examples if example.crowd == crowd)
        alone = crowd in demo.CHANGED
        for some in [[page] for page in pages] if alone else batches(pages):
            commands = [[example.command for example in page] for page in some]
            for page, found in zip(some, demo.run(commands, crowd=crowd), strict=True):
                printed += zip(page, found, strict=True)
    return printed


def by_page(examples: Iterable[Example]) -> list[list[Example]]:
    """Return the examples of each page together."""
    pages: dict[str, list[Example]] = {}
    for example in examples:
        pages.setdefault(example.page, []).append(example)
    return [*pages.values()]


def batches(pages: list[list[Example]]) -> Iterator[list[list[Example]]]:
    """Yield pages for one host each: few enough to end before its TIME_WAIT does."""
    some: list[list[Example]] = []
    for page in pages:
        if some and sum(map(len, [*some, page])) > COMMANDS_A_HOST:
            yield some
            some = []
        some.append(page)
    yield some


def shape(text: str) -> str:
    """
    Return a text without what differs from one moment to the next.

    Where a paragraph is broken is part of it: a longer number moves the break.

    >>> shape("4,876 more   ██░░ 81 %")
    '0 more ▒ 0 %'
    """
    text = re.sub(r"\d[\d,]*(?:\.\d+)*", "0", text)
    text = re.sub("[█▒░]+", "▒", text)
    text = re.sub("…+", "…", text)
    return " ".join(text.split())


def rewritten(path: Path, text: str, printed: Mapping[Example, str]) -> str:
    """Return a page with what its examples print now; as it is where all is alike but numbers."""
    if all(shape(one.shown) == shape(printed[one]) for one in on_page(path, text)):
        return text
    examples = on_page(path, text)

    def block(match: re.Match[str]) -> str:
        """Return one block anew."""
        lines = [f"<!-- example: {match[1]} -->", "```console"]
        for _ in split(match[2]):
            example = next(examples)
            lines.append("$ " + example.command.replace("\n", "\n> "))
            lines += [line.rstrip() for line in printed[example].splitlines()]
        return "\n".join([*lines, "```"])

    return BLOCK.sub(block, text)
