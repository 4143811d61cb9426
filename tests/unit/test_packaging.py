"""
Prove that the lock files install what pyproject.toml asks for, anywhere.
"""

import re
import tomllib
from pathlib import Path

import pytest

import portroom

ROOT = Path(__file__).parents[2]
LOCK_FILES = ["requirements.lock", "requirements-dev.lock"]


def locked(name: str) -> dict[str, str]:
    """
    Return the version of each package in the lock file *name*.
    """
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def asked_for(*extras: str) -> set[str]:
    """
    Return the packages that pyproject.toml names for portroom and its *extras*.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return {re.split("[<>=~!]", line)[0].strip() for line in lines}


def test_the_runtime_lock_file_holds_what_portroom_needs():
    """
    Each dependency, and what builds the package, has a locked version.
    """
    needed = asked_for() | {"hatchling", "editables"}

    assert set() == needed - locked("requirements.lock").keys()


def test_the_development_lock_file_adds_and_changes_nothing():
    """
    Installing the tools for tests changes no package that portroom runs with.
    """
    runtime, development = map(locked, LOCK_FILES)

    assert set() == asked_for("test", "dev") - development.keys()
    assert runtime == {name: development[name] for name in runtime}


@pytest.mark.parametrize("name", LOCK_FILES)
def test_a_lock_file_names_hashes_and_no_place(name):
    """
    Every version comes with a hash, and no line names an index, a host or a folder.
    """
    lines = [
        line.strip(" \\") for line in (ROOT / name).read_text().splitlines() if "#" not in line
    ]
    entry = r"[a-z0-9-]+==[\w.]+( ; [\w .\"'<>=]+)?|--hash=sha256:[0-9a-f]{64}"

    assert [] == [line for line in lines if line and not re.fullmatch(entry, line)]


def test_the_version_is_a_literal():
    """
    The version stands in the source, so that start-up reads no package metadata.
    """
    text = (ROOT / "src/portroom/__init__.py").read_text()

    assert f'__version__ = "{portroom.__version__}"' in text.splitlines()
