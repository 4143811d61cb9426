"""What a guest's memory begins with: programs, Python packages, modules, portroom and its tests."""

from __future__ import annotations

import compileall
import hashlib
import py_compile
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.kernels import modules
from tests.kernels.archive import LINK, PROGRAM, Archive

ROOT = Path(__file__).parents[2]
GUEST = Path(__file__).parent / "guest"

PYTHON = (3, 11)
"""The Python of a guest, Debian bookworm's."""

SITE = "usr/local/lib/python3.11/dist-packages/installed.pth"
"""Tells a guest's Python where packages are, also where a test clears the environment."""

WHEELS = (
    *("--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON[0]}.{PYTHON[1]}"),
    *("--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64"),
)
"""How pip is told to take wheels for a guest, whatever Python it runs with itself."""

ACCOUNTS = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\ntester:x:1000:1000::/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\ntester:x:1000:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "hosts: files\n",
}
OURS = ("src", "tests", "docs", "packaging", "pyproject.toml", "README.md", "CHANGELOG.md")
"""What of the checkout lies in a guest; portroom itself is installed beside it."""


def pack_programs(programs: Path, target: Path) -> Path:
    """Pack the unpacked programs, once they are fetched; return the archive."""
    _compile(programs / "usr/lib/python3.11")
    with Archive(target / "programs.cpio") as archive:
        archive.add_tree(programs)
        for name, text in ACCOUNTS.items():
            archive.add(name, text.encode())
        archive.add("usr/bin/python3", b"python3.11", LINK)
    return target / "programs.cpio"


def pack_site(target: Path) -> Path:
    """
    Pack the Python packages that tests need, in the locked versions; return the archive.

    It is made anew when what is locked has changed.

    Raises:
        subprocess.CalledProcessError: pip could not fetch them.
    """
    locked = (ROOT / "requirements-dev.lock").read_bytes()
    path = target / f"site-{hashlib.sha256(locked).hexdigest()[:12]}.cpio"
    if not path.exists():
        folder = target / "site"
        shutil.rmtree(folder, ignore_errors=True)
        with (ROOT / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file)["project"]
        names = [*project["dependencies"], *project["optional-dependencies"]["test"]]
        lock = f"--constraint={ROOT / 'requirements-dev.lock'}"
        _pip("install", f"--target={folder}", *WHEELS, lock, *names)
        _pack_folder(folder, "site", path)
    return path


def pack_ours(target: Path) -> Path:
    """
    Pack portroom, built and installed from this checkout, and its tests; return the archive.

    Raises:
        subprocess.CalledProcessError: It cannot be built.
    """
    folder, wheels = target / "ours", target / "wheels"
    for old in (folder, wheels):
        shutil.rmtree(old, ignore_errors=True)
    _pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={wheels}", str(ROOT))
    (wheel,) = wheels.glob("*.whl")
    _pip("install", "--no-deps", f"--target={folder}", str(wheel))
    with Archive(target / "ours.cpio") as archive:
        _compile(folder)
        archive.add_tree(folder, "site")
        for name in OURS:
            if (ROOT / name).is_dir():
                archive.add_tree(ROOT / name, f"portroom/{name}", wanted=_is_source)
            else:
                archive.add(f"portroom/{name}", (ROOT / name).read_bytes())
        archive.add(SITE, b"/site\n")
        archive.add("init", (GUEST / "init").read_bytes(), PROGRAM)
    return target / "ours.cpio"


def pack_modules(packages: list[Path], target: Path) -> Path:
    """Pack the modules of one kernel, named in the order to load them; return the archive."""
    path = target / f"{packages[0].name}.cpio"
    with Archive(path) as archive:
        order = [one for package in packages for one in modules.load_order(package)]
        for number, module in enumerate(order):
            name = f"modules/{number:02}-{modules.name_of(module)}.ko"
            archive.add(name, modules.read_module(module))
    return path


def kernel_of(packages: list[Path]) -> Path:
    """
    Return the kernel itself among the unpacked packages.

    Raises:
        FileNotFoundError: There is none.
    """
    for package in packages:
        for path in sorted(package.rglob("vmlinuz*")):
            return path
    raise FileNotFoundError(f"no kernel in {', '.join(one.name for one in packages)}")


def _pack_folder(folder: Path, name: str, path: Path) -> None:
    """Pack one folder with compiled Python."""
    _compile(folder)
    with Archive(path) as archive:
        archive.add_tree(folder, name)


def _is_source(path: Path) -> bool:
    """Leave out what Python and its tools leave behind."""
    return not any(part.startswith((".", "__pycache__")) for part in path.parts)


def _compile(folder: Path) -> None:
    """Compile Python files beforehand, if this Python makes what a guest's reads."""
    if sys.version_info[:2] == PYTHON:
        compileall.compile_dir(
            folder,
            quiet=2,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def _pip(*arguments: str) -> None:
    """Run pip of this Python."""
    quiet = ("--quiet", "--quiet", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", *arguments, *quiet], check=True)
