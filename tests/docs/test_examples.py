"""The examples are real: each prints, on a host made for it, what its page shows."""

from __future__ import annotations

import functools
import json

import jsonschema
import pytest

from tests.docs import blocks, demo, examples, pages

FOUND = examples.find(pages.read())


@functools.cache
def refusal() -> str:
    """Return why no host for the examples can be made here, or ""."""
    return demo.refusal()


@functools.cache
def tracing_refusal() -> str:
    """Return why nothing can be traced here, or ""."""
    return demo.tracing_refusal()


@pytest.fixture(scope="module")
def printed():
    """Return what each example prints now; skips where namespaces are refused."""
    if refusal():
        pytest.skip(f"no private namespaces for the examples: {refusal()}")
    return examples.run(FOUND)


@pytest.mark.parametrize("example", FOUND, ids=[f"{one.page}-{one.place}" for one in FOUND])
def test_an_example_prints_what_its_page_shows(example, printed):
    """Numbers and times differ from day to day; ``python -m tests.docs`` renews them."""
    if "portroom trace" in example.command and tracing_refusal():
        pytest.skip(f"nothing can be traced in a host for the examples: {tracing_refusal()}")

    actual = examples.shape(printed[example])

    assert examples.shape(example.shown) == actual


def test_every_console_block_is_an_example():
    """What looks as if it had been run is run, but for what takes minutes to measure."""
    unmarked = [
        pages.name_of(path)
        for path, text in pages.read().items()
        for block in text.split("```console\n")[:-1]
        if not block.rstrip("\n").rsplit("\n", 1)[-1].startswith("<!-- example:")
    ]

    assert {"docs/performance.md"} >= set(unmarked)


def test_what_is_traced_has_a_host_to_itself():
    """A trace sees all hosts of this machine: elsewhere nothing is traced, and nothing fails."""
    traced = {one.crowd for one in FOUND if "portroom trace" in one.command}

    assert demo.TRACED == traced


def test_examples_contain_no_escape():
    """What is pasted into a page is plain text."""
    assert [] == [one.page for one in FOUND if "\x1b" in one.shown or "\0" in one.shown]


def test_a_snapshot_as_json_is_as_its_schema_says():
    """The published schema holds for a real Snapshot, plain, with sessions and redacted."""
    if refusal():
        pytest.skip(f"no private namespaces for the examples: {refusal()}")
    ways = ("", " --sessions", " --sessions --redact")
    rules = json.loads((pages.ROOT / blocks.SCHEMA).read_text())

    [found] = demo.run([[f"portroom snapshot -o json{way}" for way in ways]], crowd="containers")

    for text in found:
        jsonschema.validate(json.loads(text), rules)
