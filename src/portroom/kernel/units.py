"""Units of systemd: which are installed below a root, and what they say.

Rules of this file:

- nothing is asked of systemd: the files are read as it reads them, so that a
  system that is not running, or another one's tree, tells the same;
- a unit is known by its name; the first folder that has the name decides, and
  its drop-ins add to it from every folder.

Source: systemd.unit(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from portroom.kernel.files import link_below, list_below, read_below
from portroom.model.facts.sysctl_files import FILE, NULL, NULL_DEVICE

FOLDERS = (
    b"/etc/systemd/system.control",
    b"/run/systemd/system.control",
    b"/run/systemd/transient",
    b"/run/systemd/generator.early",
    b"/etc/systemd/system",
    b"/run/systemd/system",
    b"/run/systemd/generator",
    b"/usr/local/lib/systemd/system",
    b"/usr/lib/systemd/system",
    b"/lib/systemd/system",
    b"/run/systemd/generator.late",
)
"""Where unit files lie, the first to decide first."""

WANTED_SOCKETS = b"sockets.target.wants"
"""Links to the sockets that start at boot: instances of templates stand nowhere else."""

LARGEST_UNIT_BYTES = 1 << 20

DROP_IN = b".conf"


class Units(NamedTuple):
    """The names in each folder of units that exists; ``root`` stands for ``/``."""

    root: bytes
    names: dict[bytes, frozenset[bytes]]

    def ending(self, suffix: bytes) -> list[bytes]:
        """Return the names of all units of a kind, sorted, instances of templates included."""
        found = {name for names in self.names.values() for name in names if name.endswith(suffix)}
        for folder, names in self.names.items():
            if WANTED_SOCKETS in names:
                wanted = _listed(self.root, b"%s/%s" % (folder, WANTED_SOCKETS))
                found.update(name for name in wanted if name.endswith(suffix))
        return sorted(found)


def read_units(root: bytes) -> Units:
    """
    Return the names in the folders of units, each folder once.

    Raises:
        OSError: A folder is there and may not be listed.
    """
    names: dict[bytes, frozenset[bytes]] = {}
    seen: set[tuple[int, int]] = set()
    for folder in FOLDERS:
        try:
            found, identity = list_below(root, folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        # /lib is often a link to /usr/lib.
        if identity not in seen:
            names[folder] = frozenset(found)
        seen.add(identity)
    return Units(root, names)


def is_installed(units: Units, name: bytes) -> bool:
    """Say whether there is a unit of that name, and no mask."""
    return bool(_content(units, name))


def values_of(units: Units, name: bytes, section: bytes) -> list[tuple[bytes, bytes]]:
    """
    Return the keys and values of one section of a unit, its drop-ins included.

    They stand in the order in which systemd reads them; empty where the unit
    is masked or missing.
    """
    content = _content(units, name)
    if not content:
        return []
    paths = _drop_ins(units, name)
    texts = [content, *(read_below(units.root, path, LARGEST_UNIT_BYTES).content for path in paths)]
    return [pair for text in texts for pair in parse_section(text, section)]


def is_masked(root: bytes, path: bytes) -> bool:
    """
    Say whether a unit file switches its unit off: it is empty, or a link to /dev/null.

    A tree elsewhere need not have a /dev/null, so the link alone decides.

    Source: systemd.unit(5).
    """
    found = read_below(root, path, LARGEST_UNIT_BYTES)
    links_to_null = link_below(root, path) == NULL_DEVICE
    return links_to_null or found.kind == NULL or (found.kind == FILE and not found.content)


def parse_section(text: bytes, section: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""
    Yield the keys and values of one section of a unit file.

    A line that ends with a backslash goes on in the next one.

    >>> list(parse_section(b"[Unit]\nA=1\n[Socket]\n# no\nListenStream = 80 \n", b"Socket"))
    [(b'ListenStream', b'80')]
    """
    inside = False
    kept = b""
    for line in text.split(b"\n"):
        stripped = line.strip()
        if stripped[:1] in {b"#", b";"}:
            continue
        if stripped.endswith(b"\\"):
            kept += stripped[:-1] + b" "
            continue
        whole, kept = kept + stripped, b""
        key, sign, value = whole.partition(b"=")
        if whole.startswith(b"["):
            inside = whole == b"[%s]" % section
        elif inside and sign:
            yield key.strip(), value.strip()


def _content(units: Units, name: bytes) -> bytes:
    """Return the content of a unit's file, that of its template for an instance; empty for none."""
    for wanted in (name, _template(name)):
        for folder, names in units.names.items():
            if wanted in names:
                path = b"%s/%s" % (folder, wanted)
                if is_masked(units.root, path):
                    return b""
                return read_below(units.root, path, LARGEST_UNIT_BYTES).content
    return b""


def _drop_ins(units: Units, name: bytes) -> list[bytes]:
    """Return the paths of a unit's drop-ins, sorted by name; the first folder has a name alone."""
    found: dict[bytes, bytes] = {}
    for owner in _drop_in_owners(name):
        for folder, names in units.names.items():
            if b"%s.d" % owner in names:
                path = b"%s/%s.d" % (folder, owner)
                for file in _listed(units.root, path):
                    if file.endswith(DROP_IN):
                        found.setdefault(file, b"%s/%s" % (path, file))
    return [found[file] for file in sorted(found)]


def _drop_in_owners(name: bytes) -> list[bytes]:
    """
    Return whose drop-ins a unit has: its own, its template's, of its prefixes, of its type.

    >>> _drop_in_owners(b"a-b@1.socket")
    [b'a-b@1.socket', b'a-b@.socket', b'a-.socket', b'socket']
    """
    stem, _, kind = name.rpartition(b".")
    prefix = stem.partition(b"@")[0]
    ends = [place for place, letter in enumerate(prefix) if letter == ord("-")]
    shorter = [b"%s.%s" % (prefix[: end + 1], kind) for end in reversed(ends)]
    return list(dict.fromkeys([name, _template(name), *shorter, kind]))


def _template(name: bytes) -> bytes:
    """Return the template of an instance, the name itself for every other unit."""
    stem, _, kind = name.rpartition(b".")
    prefix, sign, _ = stem.partition(b"@")
    return b"%s@.%s" % (prefix, kind) if sign else name


def _listed(root: bytes, folder: bytes) -> list[bytes]:
    """Return the names in a folder, none where it is none or may not be listed."""
    try:
        return list_below(root, folder)[0]
    except OSError:
        return []
