"""Install portroom a second time, with its own dependencies and no others.

The virtual environment of a checkout also holds test tools, and some of them
change what an import costs: msgspec, for one, imports typing_extensions where
it is there. Users do not have them.
"""

import importlib.metadata
import importlib.util
import re
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

from bench.errors import BenchError

PACKAGE = "portroom"

SCRIPT = """\
# -*- coding: utf-8 -*-
import re
import sys
from portroom.cli import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""
"""What pip writes for an entry point."""


def install(folder: Path, extra: str | None = None) -> Path:
    """
    Return the folder of programs of a virtual environment made in *folder*.

    Packages are links to those of the running one, so nothing is downloaded.

    Args:
        folder: Where it is made.
        extra: An optional part to install, too; None for none.

    Raises:
        BenchError: portroom is not installed here.
    """
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for source in sorted(_sources(extra)):
        (packages / source.name).symlink_to(source)
    programs = folder / "bin"
    script = programs / PACKAGE
    script.write_text(f"#!{programs / 'python'}\n{SCRIPT}", encoding="utf-8")
    script.chmod(0o755)
    return programs


def _sources(extra: str | None) -> set[Path]:
    """Return the files and folders of portroom and all it depends on."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BenchError(f"{PACKAGE} cannot be imported by {sys.executable}.")
    found = {Path(spec.submodule_search_locations[0])}
    for name in _dependencies(PACKAGE, set(), extra):
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or ()}
        found |= {Path(str(distribution.locate_file(top))) for top in tops - {".."}}
    return {path for path in found if path.name != "__pycache__"}


def _dependencies(name: str, seen: set[str], extra: str | None = None) -> Iterator[str]:
    """Yield what a distribution, with one of its extras, needs to run, and what that needs."""
    for requirement in importlib.metadata.requires(name) or ():
        words, _, marker = requirement.partition(";")
        needed = re.match(r"[\w.-]+", words)
        wanted = re.findall(r"extra == ['\"]([\w-]+)", marker)
        if not needed or needed[0] in seen or (wanted and extra not in wanted):
            continue
        seen.add(needed[0])
        try:
            importlib.metadata.distribution(needed[0])
        except importlib.metadata.PackageNotFoundError:
            continue  # a marker such as `platform_system == "Windows"`
        yield needed[0]
        yield from _dependencies(needed[0], seen)
