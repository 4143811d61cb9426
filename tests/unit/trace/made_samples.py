"""Samples of perf as the kernel makes them."""

from __future__ import annotations

import struct

from portroom.trace.perf_samples import RECORD_SAMPLE, Sample

EXIT = bytes.fromhex("bd0800018577000031000000000000009effffffffffffff00000000")
"""A sample's event, of Linux 6.18: sys_exit_bind of thread 30597, EADDRINUSE; padded."""

EXIT_TID = 30597


def record(kind: int, body: bytes) -> bytes:
    """Return a record."""
    return struct.pack("=IHH", kind, 2, 8 + len(body)) + body


def sample_bytes(sample: Sample, copied: int | None = None) -> bytes:
    """
    Return the record of a sample, of whose stack so many bytes were copied.

    A stack that was left out has no such number.
    """
    head = struct.pack("=QI", sample.at_ns, len(sample.raw)) + sample.raw
    registers = struct.pack("=QQQ", 2, sample.stack_at, len(sample.stack))
    length = struct.pack("=Q", len(sample.stack) if copied is None else copied)
    return record(RECORD_SAMPLE, head + registers + sample.stack + length)
