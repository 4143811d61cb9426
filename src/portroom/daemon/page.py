"""The page at ``/``: what there is to ask, for a person, until there is more to see."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from portroom.daemon.endpoints import Endpoint

HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>portroom</title>
</head>
<body>
<h1>portroom</h1>
<p>How many more connections fit on this host? This daemon watches, and only reads.</p>
<dl>
"""

FOOT = """</dl>
<p>On the host itself <code>portroom</code> says the same in words.</p>
</body>
</html>
"""


def as_html(endpoints: Sequence[Endpoint]) -> str:
    """
    Return the page.

    Args:
        endpoints: What there is to ask.
    """
    listed = (
        f'<dt><a href="{escape(one.path)}">{escape(one.path)}</a></dt>\n'
        f"<dd>{escape(one.summary)}</dd>\n"
        for one in endpoints
        if one.path != "/"
    )
    return HEAD + "".join(listed) + FOOT
