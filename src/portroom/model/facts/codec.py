"""The bytes of a Snapshot file: one line of JSON, then compressed parts.

The first line tells a person and ``file`` what this is, and how long the rest
must be. Whatever is wrong with a file is one sentence.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from portroom.errors import KernelDataError
from portroom.model.facts.document import FORMAT, FORMAT_VERSION, Document, PackedPorts, RawText
from portroom.model.facts.saved import as_document, from_document
from portroom.model.facts.snapshot import Snapshot

HEADER_BYTES = 65_536
"""The first line is far shorter; a file without a line this near is foreign."""

DOCUMENT_BYTES = 1 << 30
"""A million sockets one by one are about 150 MB; more is an attack."""


class Header(msgspec.Struct, frozen=True):
    """The first line of a file."""

    format: str
    format_version: int
    host: str
    taken_at: str
    compressed_bytes: int


def encode(snapshot: Snapshot) -> bytes:
    """Return the file of a Snapshot."""
    document = as_document(snapshot)
    parts = zlib.compress(msgspec.msgpack.encode(document, enc_hook=_packed), 6)
    header = Header(
        FORMAT,
        FORMAT_VERSION,
        document.host,
        document.taken_at.isoformat().replace("+00:00", "Z"),
        len(parts),
    )
    return msgspec.json.encode(header) + b"\n" + parts


def encode_json(snapshot: Snapshot) -> bytes:
    """Return a Snapshot as one JSON object, ports as canonical text, raw text escaped."""
    return msgspec.json.encode(as_document(snapshot), enc_hook=_text)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``encode_json``."""
    return msgspec.json.schema(Document, schema_hook=_schema_of)


def decode(content: bytes, where: str) -> Snapshot:
    """
    Return the Snapshot that a file holds.

    Args:
        content: The whole file.
        where: Its name, for the error.

    Raises:
        KernelDataError: It is foreign, cut short, damaged or too new.
    """
    line, newline, parts = content.partition(b"\n")
    header = _header(line, bool(newline), where)
    if len(parts) != header.compressed_bytes:
        wrong = "cut short" if len(parts) < header.compressed_bytes else "damaged"
        raise KernelDataError(
            f"{where}: {wrong}: expected {header.compressed_bytes} bytes after the "
            f"first line, got {len(parts)}.",
            "Take or copy the Snapshot again.",
        )
    try:
        raw = _inflate(parts)
        document = msgspec.msgpack.decode(raw, type=Document, dec_hook=_unpacked)
        return from_document(document)
    except (zlib.error, msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
        raise KernelDataError(
            f"{where}: damaged: {str(error)!r}.", "Take or copy the Snapshot again."
        ) from None


def _header(line: bytes, ended: bool, where: str) -> Header:
    """Return the first line, if this is a file of ours that can be read."""
    try:
        header = msgspec.json.decode(line[:HEADER_BYTES] if ended else b"", type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise KernelDataError(
            f"{where}: no Snapshot of portroom: it begins with {line[:20]!r}.",
            "`portroom snapshot --out FILE` makes one.",
        ) from None
    if header.format != FORMAT:
        raise KernelDataError(f"{where}: no Snapshot of portroom but {header.format!r}.")
    if header.format_version > FORMAT_VERSION:
        raise KernelDataError(
            f"{where}: format version {header.format_version}, "
            f"this portroom reads up to {FORMAT_VERSION}.",
            "Use the newer portroom that made it.",
        )
    return header


def _inflate(parts: bytes, limit: int = DOCUMENT_BYTES) -> bytes:
    """Return the parts uncompressed, never more than *limit* bytes."""
    inflater = zlib.decompressobj()
    raw = inflater.decompress(parts, limit)
    if not inflater.eof:
        raise ValueError("the compressed parts do not end where they should")
    return raw


def _packed(value: object) -> bytes:
    """Return ports and raw text as bytes, for msgpack."""
    if isinstance(value, PackedPorts):
        return value.packed
    if isinstance(value, RawText):
        return value.raw
    raise NotImplementedError(type(value).__name__)


def _text(value: object) -> str:
    """Return ports and raw text as text, for JSON."""
    if isinstance(value, (PackedPorts, RawText)):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _unpacked(kind: type, value: object) -> PackedPorts | RawText:
    """Return ports or raw text from bytes."""
    if kind is RawText and isinstance(value, bytes):
        return RawText(value)
    if kind is PackedPorts and isinstance(value, bytes) and len(value) % 2 == 0:
        return PackedPorts(value)
    what = "ports" if kind is PackedPorts else "text"
    raise ValueError(f"expected {what} as bytes, got {str(value)[:40]!r}")


def _schema_of(kind: type) -> dict[str, str]:
    """Return the schema of ports and of raw text in JSON."""
    if kind is PackedPorts:
        return {"type": "string", "pattern": "^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$"}
    if kind is RawText:
        return {"type": "string", "pattern": r"^([^\\]|\\\\|\\x[0-9a-f]{2})*$"}
    raise NotImplementedError(kind.__name__)
