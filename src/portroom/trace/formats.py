"""
How an event lies in memory: read from the kernel's own description of it.

Rules of this file:

- no offset and no size is known beforehand: both differ between kernels;
- a description that lacks a field, or has it in a shape that cannot be read, is
  an error, never a guess.

Source: Linux Documentation/trace/events.rst, "Event formats".
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from portroom.errors import KernelDataError

FIELD = re.compile(
    r"field:\s*(?P<declared>[^;]+);\s*offset:\s*(?P<offset>\d+);\s*"
    r"size:\s*(?P<size>\d+);\s*signed:\s*(?P<signed>[01]);"
)
NAME = re.compile(r"(\w+)\s*(\[[^\]]*\])?$")
NUMBER = re.compile(r"^ID:\s*(\d+)$", re.MULTILINE)

INTEGERS = {1: "b", 2: "h", 4: "i", 8: "q"}

Reader = Callable[[bytes, int], tuple[Any, ...]]
"""From a page and an offset to the values of the fields that were asked for."""


class Field(NamedTuple):
    """A field: where it lies, in bytes; an array is taken as bytes."""

    offset: int
    size: int
    signed: bool = False
    array: bool = False

    @property
    def code(self) -> str:
        """Return its letter for ``struct``."""
        if self.array:
            return f"{self.size}s"
        return INTEGERS[self.size] if self.signed else INTEGERS[self.size].upper()


class Format(NamedTuple):
    """The number of an event, and its fields by name."""

    number: int
    fields: dict[str, Field]


def parse_format(text: str, where: str) -> Format:
    r"""
    Parse the ``format`` file of an event; *where* is named in the error.

    >>> parse_format("ID: 7\n\tfield:int a;\toffset:4;\tsize:4;\tsigned:1;\n", "x").fields
    {'a': Field(offset=4, size=4, signed=True, array=False)}
    """
    number = NUMBER.search(text)
    if number is None:
        raise KernelDataError(f"{where}: expected the ID of an event, got {text[:80]!r}.")
    return Format(int(number[1]), parse_fields(text, where))


def parse_fields(text: str, where: str) -> dict[str, Field]:
    """
    Parse the ``field:`` lines of a description; *where* is named in the error.
    """
    found = {}
    for line in FIELD.finditer(text):
        name = NAME.search(line["declared"].strip())
        if name is None:
            raise KernelDataError(f"{where}: expected a field with a name, got {line[0]!r}.")
        numbers = int(line["offset"]), int(line["size"]), line["signed"] == "1"
        found[name[1]] = Field(*numbers, array=name[2] is not None)
    return found


def reader_of(fields: Mapping[str, Field], names: tuple[str, ...], where: str) -> Reader:
    """
    Return a reader of some fields at once, in the order of *names* (two or more).

    Raises:
        KernelDataError: A field is missing or of a size that no integer has.
    """
    wanted = sorted(((field_of(fields, name, where), name) for name in names), key=itemgetter(0))
    layout, end = "=", 0
    for field, name in wanted:
        if field.offset < end:
            raise KernelDataError(f"{where}: the field {name!r} lies within another.")
        layout += f"{field.offset - end}x{field.code}"
        end = field.offset + field.size
    unpack = struct.Struct(layout).unpack_from
    lying = [name for _, name in wanted]
    if lying == list(names):
        return unpack
    ordered = itemgetter(*(lying.index(name) for name in names))
    return lambda page, offset: ordered(unpack(page, offset))


def field_of(fields: Mapping[str, Field], name: str, where: str) -> Field:
    """
    Return a field by name.

    Raises:
        KernelDataError: It is missing or of a size that no integer has.
    """
    field = fields.get(name)
    if field is None or not (field.array or field.size in INTEGERS):
        raise KernelDataError(f"{where}: expected a field {name!r}, got {field!r}.")
    return field
