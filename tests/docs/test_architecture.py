"""ARCHITECTURE.md says what the code and the contracts of pyproject.toml say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text()
SOURCES = ROOT / "src/portroom"


def contract(name: str) -> dict[str, Any]:
    """Return the contract of import-linter whose name begins so."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    contracts = tools["importlinter"]["contracts"]
    return next(one for one in contracts if one["name"].startswith(name))


def rooms() -> set[str]:
    """Return the rooms of the code: its folders, and the files that are a room."""
    own = {"__init__", "__main__"}
    return {
        path.stem
        for path in SOURCES.iterdir()
        if (path / "__init__.py").exists() or (path.suffix == ".py" and path.stem not in own)
    }


def table() -> dict[str, list[str]]:
    """Return the table of rooms: by name the other cells."""
    section = TEXT.partition("\n## Rooms\n")[2].partition("\n\nA higher room")[0]
    rows = [
        line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def drawn(first: str) -> list[str]:
    """Return the lines of the drawing that begins with *first*."""
    blocks = re.findall(r"(?ms)^```\n(.*?)^```", TEXT)
    return next(block for block in blocks if block.startswith(first)).splitlines()


def test_the_table_has_every_room_and_no_other():
    """A new room is described before the build passes."""
    assert rooms() == table().keys()


def test_the_layers_are_those_of_the_contract():
    """Who may import whom is drawn as import-linter checks it."""
    assert contract("Higher rooms")["layers"] == drawn("cli |")
    assert contract("In model")["layers"] == drawn("advice")


def test_what_is_drawn_without_parentheses_exists():
    """A planned room stands in parentheses until it is there."""
    names = {name for line in drawn("cli |") for name in line.split(" | ")}

    assert rooms() == {name for name in names if not name.startswith("(")}


def test_the_further_walls_are_those_of_the_contracts():
    """Doors, purity, and who knows the command line."""
    walls = {line for line in TEXT.splitlines() if line.startswith("- `")}
    pure = ", ".join(f"`{name}`" for name in contract("model and render")["forbidden_modules"])
    closed = {name.split(".")[1] for name in contract("Doors")["forbidden_modules"]}
    doors = {name.split(".")[1] for name in contract("Doors")["source_modules"]}
    open_to_doors = rooms() - closed - doors

    assert f"- `model` and `render` do no I/O: no {pure}." in walls
    assert {"api", "render", "model", "errors"} == open_to_doors
    assert "- `cli` and `daemon` import only `api`, `render`, `model` and `errors`." in walls


def test_every_file_it_names_exists():
    """A path in backquotes is there, below the root or the package."""
    named = re.findall(r"`([\w./<>-]+/[\w./<>-]*|[\w-]+\.(?:toml|md))`", TEXT)
    places = (ROOT, SOURCES, SOURCES / "render", SOURCES / "model/laws", ROOT / "docs/reference")
    missing = [
        name
        for name in named
        if "<" not in name and not any((place / name).exists() for place in places)
    ]

    assert [] == missing


def test_every_folder_of_tests_is_in_its_map():
    """The map of tests has each folder that holds tests."""
    folders = {path.parent for path in (ROOT / "tests").glob("*/**/test_*.py")}
    tops = {f"tests/{Path(path).relative_to(ROOT / 'tests').parts[0]}" for path in folders}

    assert set() == {name for name in tops if f"`{name}`" not in TEXT}
