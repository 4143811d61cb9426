"""
Write the parts of the documentation that come from the code, and run its examples.

    python -m tests.docs            everything; needs root or a user namespace
    python -m tests.docs --parts    only what is written from the code
"""

from __future__ import annotations

import sys

from tests.docs import blocks, examples, man, pages


def main() -> None:
    """Write every page that is no longer current, and name it."""
    found = {pages.ROOT / blocks.SCHEMA: blocks.snapshot_schema()}
    found |= {path: pages.rewritten(text) for path, text in pages.read().items()}
    if "--parts" not in sys.argv[1:]:
        printed = examples.run(examples.find(found))
        found = {path: examples.rewritten(path, text, printed) for path, text in found.items()}
    found |= man.pages()
    for path, text in found.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"written: {pages.name_of(path)}\n")


main()
