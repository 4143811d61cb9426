"""`portroom metrics`: the metrics once, for cron and node_exporter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from portroom.cli.complete import complete_file
from portroom.cli.options import exit_statuses, reading, source, source_options
from portroom.errors import PortroomError

if TYPE_CHECKING:
    from portroom.api.source import Source
    from portroom.model.facts.config import Metrics

READABLE = 0o644
"""Mode of the file: node_exporter is another user."""


@click.command(
    epilog=exit_statuses(_4="the file could not be written; one that was there is as it was")
)
@click.option(
    "--textfile",
    metavar="FILE",
    shell_complete=complete_file,
    help="Write them to FILE in one step; node_exporter reads names that end in .prom.",
)
@click.option("--destinations", is_flag=True, help="Addresses as labels, of 50 destinations.")
@source_options
def metrics(
    textfile: str | None,
    destinations: bool,
    netns: str | None,
    all_netns: bool,
    snapshot: str | None,
) -> None:
    """The metrics once, for cron and node_exporter.

    Reads every socket once, and writes what `portroom serve` tells at /metrics in the text
    format of Prometheus. Rates and forecasts need several samples, so most of them are
    absent here, as is all that is not known.

    With --textfile a file is replaced as a whole, so that nobody reads half of one. Where
    the kernel cannot be read it is replaced, too, by one that tells no key: what is there
    would grow old. Needs no root, though root sees more; changes nothing else.
    """
    from portroom.cli.files import check_target, write_file
    from portroom.cli.output import write
    from portroom.model.facts.config import Metrics

    config = Metrics(destinations=destinations)
    if textfile is None:
        write(_read(source(netns, all_netns, snapshot), config))
        return
    check_target(textfile, replace=True, option="--textfile")
    try:
        content = _read(source(netns, all_netns, snapshot), config)
    except PortroomError as error:
        write_file(textfile, _unread(error, config), replace=True, mode=READABLE)
        raise
    write_file(textfile, content, replace=True, mode=READABLE)


def _read(sources: Sequence[Source], config: Metrics) -> bytes:
    """
    Return the metrics of one reading.

    Raises:
        PortroomError: Nothing could be read.
    """
    from portroom.api.metrics import watched
    from portroom.render.metrics import as_text

    with reading(sources) as progress:
        return as_text(watched(sources, progress.step), config).encode()


def _unread(error: PortroomError, config: Metrics) -> bytes:
    """Return the metrics where nothing could be read."""
    from portroom.api.metrics import unread
    from portroom.render.metrics import as_text

    return as_text(unread(error), config).encode()
