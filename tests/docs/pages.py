"""
The pages of the documentation, and their parts that are written from the code.

Such a part stands between ``<!-- begin: WHAT, written by python -m tests.docs -->`` and
``<!-- end -->``; WHAT is the name of a function of ``tests.docs.blocks``,
``tests.docs.advice`` or ``tests.kernels.support``, and its argument.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

PART = re.compile(
    r"(?m)^(<!-- begin: (\w+)(?: (\S+))?, written by python -m tests\.docs -->\n)"
    r"(.*?)^(<!-- end -->)$",
    re.DOTALL,
)


def read() -> dict[Path, str]:
    """Return every page of the project, the decisions included."""
    paths = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def name_of(path: Path) -> str:
    """Return the name of a page below the root of the project."""
    return path.relative_to(ROOT).as_posix()


def rewritten(text: str) -> str:
    """Return a page with its written parts as the code has them now."""
    from tests.docs import advice, alerting, blocks, http_api
    from tests.kernels import support

    def part(match: re.Match[str]) -> str:
        """Return one part anew."""
        (write,) = (
            vars(one)[match[2]]
            for one in (blocks, advice, alerting, http_api, support)
            if match[2] in vars(one)
        )
        arguments = [match[3]] if match[3] else []
        return match[1] + "\n" + write(*arguments).strip("\n") + "\n\n" + match[5]

    return PART.sub(part, text)
