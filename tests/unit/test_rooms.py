"""
Prove the rules of the rooms that import-linter and ruff cannot see.

Each rule is a function from the text of one source file to the offences in it,
so that the same function judges the sources and, below, a planted offence.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "portroom"

WRITING_ROOMS = {"change", "history", "lab", "trace"}
FILE_OF_THE_DOOR = "cli/files.py"  # writes a file the user named
ASYNC_ROOMS = {"tui", "daemon"}
PURE_ROOMS = {"model", "render"}
EMPTY_NAMES = {"utils", "common", "core", "helpers", "services", "managers"}
PORTABLE_CORE = {
    "errors.py",
    "model/facts/ports.py",
    "model/facts/sysctl_files.py",
    "model/laws/boot.py",
    "model/laws/acceptance.py",
    "model/laws/dialects.py",
    "model/laws/file_order.py",
    "model/laws/outcomes.py",
    "model/laws/patterns.py",
    "model/laws/proc_parsers.py",
    "model/laws/sysctl_lines.py",
    "model/advice/collisions.py",
    "kernel/files.py",
    "kernel/sysctl.py",
    "kernel/sysctl_d.py",
    "change/persist.py",
}
STANDARD_LIBRARY_OF_3_9 = sys.stdlib_module_names - {"tomllib"}

# What changes files or starts programs by name. Writing to a descriptor is none of it: a file's
# must have been opened for writing, which is found where it happens, and a pipe is nobody's file.
OS_WRITES = set(
    """
    chmod chown execl execle execlp execlpe execv execve execvp execvpe fchmod fchown fdopen
    ftruncate lchown link makedirs mkdir mkfifo mknod popen posix_spawn posix_spawnp putenv remove
    removedirs removexattr rename renames replace rmdir setxattr spawnl spawnle spawnlp spawnlpe
    spawnv spawnve spawnvp spawnvpe symlink system truncate unlink unsetenv utime
    """.split()
)
OS_WRITE_FLAGS = {"O_APPEND", "O_CREAT", "O_RDWR", "O_TMPFILE", "O_TRUNC", "O_WRONLY"}
PATH_WRITES = set(
    """
    chmod hardlink_to lchmod mkdir rename rmdir symlink_to touch unlink write_bytes write_text
    """.split()
)
WRITING_MODULES = {"multiprocessing", "pty", "shutil", "subprocess", "tempfile"}
CLOCK_READS = {"now", "today", "utcnow"}


def sources() -> dict[str, str]:
    """
    Return the text of each source file by its path below src/portroom.
    """
    return {
        path.relative_to(SOURCES).as_posix(): path.read_text() for path in SOURCES.rglob("*.py")
    }


def tool_settings() -> dict[str, Any]:
    """
    Return the settings of the tools in pyproject.toml.
    """
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


def room_of(name: str) -> str:
    """
    Return the room that the file *name* is in.
    """
    return name.partition("/")[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str, str]]:
    """
    Yield each import as its statement, the local name it binds and the full name behind that.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield node, bound, alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node, alias.asname or alias.name, f"{node.module}.{alias.name}"


def full_name(node: ast.expr, bound: dict[str, str]) -> str:
    """
    Return the dotted name of *node*, its first part as imported; ``?`` stands for a value.
    """
    match node:
        case ast.Name(id=name):
            return bound.get(name, name)
        case ast.Attribute(value=value, attr=attribute):
            return f"{full_name(value, bound)}.{attribute}"
        case _:
            return "?"


def writes(name: str, text: str) -> Iterator[str]:
    """
    Yield each place that may write a file or start a program, outside the rooms that may.
    """
    if room_of(name) in WRITING_ROOMS or name == FILE_OF_THE_DOOR:
        return
    tree = ast.parse(text)
    bound = {local: full for _, local, full in imports(tree)}
    for statement, _, full in imports(tree):
        module, _, member = full.partition(".")
        if module in WRITING_MODULES or (module == "os" and member in OS_WRITES):
            yield f"{name}:{statement.lineno}: imports {full}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_write(node, full_name(node.func, bound)):
            yield f"{name}:{node.lineno}: calls {ast.unparse(node.func)}"


def is_write(call: ast.Call, called: str) -> bool:
    """
    Return whether *call* of the full name *called* may write.
    """
    module, _, member = called.partition(".")
    last = called.rpartition(".")[2]
    if called == "os.open":
        return any(flag in ast.unparse(call) for flag in OS_WRITE_FLAGS)
    if module == "os":
        return member in OS_WRITES
    if last == "open":
        return not opens_to_read(call, is_method=called not in {"open", "io.open"})
    if last == "replace":  # Path.replace takes one argument, str.replace takes two
        return "." in called and len(call.args) == 1 and not call.keywords
    return "." in called and last in PATH_WRITES


def opens_to_read(call: ast.Call, *, is_method: bool) -> bool:
    """
    Return whether the mode of *call*, an ``open``, is written there and only reads.

    The mode is the second argument of the function; of a method it may be the first as well
    (``path.open("w")``, ``gzip.open(path, "w")``), so there a word of mode letters is a mode.
    """
    named = [word.value for word in call.keywords if word.arg in {"mode", None}]
    modes = call.args[1:2] + named
    if is_method:
        modes += [
            argument
            for argument in call.args[:1]
            if isinstance(argument, ast.Constant)
            and re.fullmatch("[rwaxbt+]+", str(argument.value))
        ]
    return all(isinstance(mode, ast.Constant) and mode.value in {"r", "rb", "rt"} for mode in modes)


def asynchronous(name: str, text: str) -> Iterator[str]:
    """
    Yield each ``async`` and ``await`` outside the two doors that wait for several things.
    """
    if room_of(name) in ASYNC_ROOMS:
        return
    kinds = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds) or (isinstance(node, ast.comprehension) and node.is_async):
            yield f"{name}: {ast.unparse(node).splitlines()[0]}"


def clock_reads(name: str, text: str) -> Iterator[str]:
    """
    Yield each look at a clock in a pure room: there, time is an argument.
    """
    if room_of(name) not in PURE_ROOMS:
        return
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CLOCK_READS
        ):
            yield f"{name}:{node.lineno}: {ast.unparse(node)}"


def imports_of_the_desk(name: str, text: str) -> Iterator[str]:
    """
    Yield each import of api/__init__.py: importing one use case may not bring in the others.
    """
    if name == "api/__init__.py":
        for statement, _, full in imports(ast.parse(text)):
            yield f"{name}:{statement.lineno}: imports {full}"


def unportable_imports(name: str, text: str) -> Iterator[str]:
    """
    Yield each import of the portable core that is neither standard library nor portable core.
    """
    if name not in PORTABLE_CORE:
        return
    portable = {file.removesuffix(".py") for file in PORTABLE_CORE}
    for statement, _, full in imports(ast.parse(text)):
        path = full.removeprefix("portroom.").replace(".", "/")
        is_portable = {path, path.rpartition("/")[0]} & portable
        if full.partition(".")[0] not in STANDARD_LIBRARY_OF_3_9 and not is_portable:
            yield f"{name}:{statement.lineno}: imports {full}"


def empty_names(name: str, _text: str) -> Iterator[str]:
    """
    Yield *name* if a part of it says nothing about what is inside.
    """
    if EMPTY_NAMES & set(name.removesuffix(".py").split("/")):
        yield name


def long_files(name: str, text: str) -> Iterator[str]:
    """
    Yield *name* if the file has more than 400 lines.
    """
    if (lines := len(text.splitlines())) > 400:
        yield f"{name}: {lines} lines"


RULES = [
    writes,
    asynchronous,
    clock_reads,
    imports_of_the_desk,
    unportable_imports,
    empty_names,
    long_files,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_source_file_offends(rule):
    """
    No file of src/portroom breaks the rule.
    """
    offences = [offence for name, text in sources().items() for offence in rule(name, text)]

    assert [] == offences


def test_there_are_sources():
    """
    The rules are asked about something.
    """
    assert "__init__.py" in sources()


def test_a_room_that_exists_is_named_in_full():
    """
    No import contract still waits (``room.**``) for a room that has come.
    """
    contracts = tool_settings()["importlinter"]["contracts"]
    modules = {
        module
        for contract in contracts
        for key in ("source_modules", "forbidden_modules")
        for module in contract.get(key, [])
    }
    rooms = {room_of(name) for name in sources()}

    assert set() == {f"portroom.{room}.**" for room in rooms} & modules


def test_ruff_holds_the_portable_core_to_an_old_python():
    """
    ruff checks each file of the portable core, and no other, as Python 3.9.
    """
    checked = tool_settings()["ruff"]["per-file-target-version"]

    assert {f"src/portroom/{name}": "py39" for name in PORTABLE_CORE} == checked


OFFENCES = [
    (writes, "kernel/x.py", "open(path, 'w')"),
    (writes, "kernel/x.py", "open(path, mode='a')"),
    (writes, "kernel/x.py", "open(path, mode)"),
    (writes, "kernel/x.py", "open(path, **how)"),
    (writes, "kernel/x.py", "import io\nio.open(path, 'r+')"),
    (writes, "kernel/x.py", "path.open('wb')"),
    (writes, "kernel/x.py", "(path / 'a').open(mode='x')"),
    (writes, "render/x.py", "import gzip\ngzip.open(path, 'wt')"),
    (writes, "kernel/x.py", "Path(name).write_text('1')"),
    (writes, "kernel/x.py", "path.unlink()"),
    (writes, "kernel/x.py", "path.replace(other)"),
    (writes, "cli/x.py", "import os\nos.replace(a, b)"),
    (writes, "cli/x.py", "import os as o\no.system('ss')"),
    (writes, "cli/x.py", "from os import unlink"),
    (writes, "kernel/x.py", "import os\nos.open(path, os.O_WRONLY | os.O_CLOEXEC)"),
    (writes, "api/x.py", "import subprocess"),
    (writes, "api/x.py", "from subprocess import run"),
    (writes, "api/x.py", "def f():\n    import shutil"),
    (asynchronous, "api/x.py", "async def f(): ..."),
    (asynchronous, "api/x.py", "async def f():\n    async with a: ..."),
    (clock_reads, "model/x.py", "from datetime import datetime\ndatetime.now(UTC)"),
    (clock_reads, "render/x.py", "import datetime\ndatetime.date.today()"),
    (imports_of_the_desk, "api/__init__.py", "from portroom.api import look"),
    (imports_of_the_desk, "api/__init__.py", "def f():\n    import portroom.kernel"),
    (unportable_imports, "errors.py", "import msgspec"),
    (unportable_imports, "errors.py", "import tomllib"),
    (unportable_imports, "kernel/sysctl.py", "from portroom.model.facts import sockets"),
    (unportable_imports, "kernel/sysctl.py", "from portroom.kernel.netlink import dump"),
    (empty_names, "kernel/utils.py", ""),
    (empty_names, "common/ports.py", ""),
    (long_files, "kernel/x.py", "\n" * 401),
]


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    OFFENCES,
    ids=[f"{rule.__name__}-{number}" for number, (rule, _, _) in enumerate(OFFENCES)],
)
def test_a_planted_offence_is_found(rule, name, text):
    """
    A rule finds each way to break it.
    """
    assert [] != list(rule(name, text))


ALLOWED = [
    (writes, "kernel/x.py", "open(path)"),
    (writes, "kernel/x.py", "open('w', 'rb')"),
    (writes, "kernel/x.py", "open(path, encoding='ascii')"),
    (writes, "kernel/x.py", "path.open('rb')"),
    (writes, "kernel/x.py", "text.replace('a', 'b')"),
    (writes, "kernel/x.py", "taken_at.replace(tzinfo=UTC)"),
    (writes, "kernel/x.py", "import os\nos.open(path, os.O_RDONLY)\nos.read(fd, 9)"),
    (writes, "kernel/x.py", "import os\nreading, writing = os.pipe()\nos.write(writing, b'1')"),
    (writes, "change/x.py", "import os\nos.replace(a, b)"),
    (writes, FILE_OF_THE_DOOR, "path.write_text('')"),
    (asynchronous, "daemon/x.py", "async def f(): ..."),
    (clock_reads, "kernel/x.py", "datetime.now(UTC)"),
    (clock_reads, "model/x.py", "now = 1"),
    (imports_of_the_desk, "api/look.py", "from portroom.kernel import snapshot"),
    (unportable_imports, "kernel/sysctl.py", "import os.path\nfrom pathlib import Path"),
    (unportable_imports, "kernel/sysctl.py", "from portroom.kernel.files import read_text"),
    (unportable_imports, "kernel/sysctl.py", "from portroom.model.facts import ports"),
    (unportable_imports, "kernel/sock_diag.py", "import msgspec"),
    (empty_names, "kernel/commonality.py", ""),
    (long_files, "kernel/x.py", "\n" * 400),
]


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    ALLOWED,
    ids=[f"{rule.__name__}-{number}" for number, (rule, _, _) in enumerate(ALLOWED)],
)
def test_what_is_allowed_is_no_offence(rule, name, text):
    """
    A rule leaves alone what only looks like breaking it.
    """
    assert [] == list(rule(name, text))
