"""Prove how the kernel's description of an event is read."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portroom.errors import KernelDataError
from portroom.trace.formats import Field, parse_format, reader_of
from tests.unit.trace.made_pages import text_of

names = some.lists(
    some.from_regex(r"[a-z_]{1,12}", fullmatch=True), min_size=2, max_size=8, unique=True
)


def test_a_recorded_description_is_read():
    """
    Integers with their signs, and arrays as bytes.
    """
    found = parse_format(text_of("inet_sock_set_state"), "x")

    assert 2287 == found.number
    assert Field(24, 2) == found.fields["sport"]
    assert Field(4, 4, signed=True) == found.fields["common_pid"]
    assert Field(56, 16, array=True) == found.fields["daddr_v6"]
    assert Field(24, 8) == parse_format(text_of("sys_enter_bind"), "x").fields["umyaddr"]


@given(names, some.data())
def test_fields_are_read_wherever_they_lie(wanted, data):
    """
    Values come in the order asked for, whatever order and gaps the fields have.
    """
    sizes = data.draw(some.tuples(*[some.sampled_from([1, 2, 4, 8]) for _ in wanted]))
    values = [data.draw(some.integers(0, 256**size - 1)) for size in sizes]
    fields, page = {}, b""
    for name, size, value in data.draw(
        some.permutations(list(zip(wanted, sizes, values, strict=True)))
    ):
        page += bytes(data.draw(some.integers(0, 3)))
        fields[name] = Field(len(page), size)
        page += struct.pack(f"={Field(0, size).code}", value)

    assert tuple(values) == tuple(reader_of(fields, tuple(wanted), "x")(b"skip" + page, 4))


def test_a_signed_field_is_read_as_such():
    """
    An error is a negative number.
    """
    fields = parse_format(text_of("sys_exit_connect"), "x").fields
    raw = bytes(4) + struct.pack("=i", 7) + bytes(8) + struct.pack("=q", -99)

    assert (7, -99) == tuple(reader_of(fields, ("common_pid", "ret"), "x")(raw, 0))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "ID"),
        ("name: x\nformat:\n", "ID"),
        ("ID: 7\n\tfield:;\toffset:0;\tsize:4;\tsigned:0;\n", "'a'"),
        ("ID: 7\n\tfield:int b;\toffset:0;\tsize:4;\tsigned:0;\n", "'a'"),
        ("ID: 7\n\tfield:struct x a;\toffset:0;\tsize:12;\tsigned:0;\n", "'a'"),
    ],
)
def test_what_cannot_be_read_is_refused(text, told):
    """
    A description without number, or without the field in a shape that is known, is an error.
    """
    with pytest.raises(KernelDataError, match=told):
        reader_of(parse_format(text, "there").fields, ("a",), "there")


def test_fields_within_each_other_are_refused():
    """
    Two fields in one place are no description that can be read.
    """
    with pytest.raises(KernelDataError, match="'b' lies within"):
        reader_of({"a": Field(0, 4), "b": Field(2, 2)}, ("a", "b"), "there")


@given(some.text(max_size=300))
def test_any_text_is_an_error_or_a_description(text):
    """
    Nothing but the error that is raised on purpose comes out.
    """
    with contextlib.suppress(KernelDataError):
        parse_format(text, "there")
