"""
Parts of the documentation that are written from the code: commands, fields, settings.

Each function returns Markdown; ``tests.docs.pages`` puts it into its place. What a field
means stands in ``docs/reference/fields.toml``, because annotations cannot say it.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import click
import msgspec
from msgspec.inspect import type_info

from portroom import errors
from portroom.cli.commands import COMMANDS, portroom
from portroom.model.advice.reasons import CODES
from portroom.model.facts import document
from portroom.model.facts.settings import SETTINGS
from portroom.model.laws.dialects import DIALECTS, Dialect
from portroom.render.document import Namespaces
from portroom.render.metric_table import METRICS, full_name
from portroom.render.schema import ANSWERS, EVENTS, SNAPSHOT, as_json_schema
from tests.docs.pages import ROOT

MEANINGS = ROOT / "docs/reference/fields.toml"
SCHEMA = "src/portroom/render/schemas/snapshot.json"
REMEDIES = ROOT / "docs/reference/reasons.toml"
DIALECT_WORDS = ROOT / "docs/explanation/dialects.toml"

UNITS = {
    "_ports": "ports",
    "_bytes": "bytes",
    "_ratio": "0…1",
    "_ratio_max": "0…1",
    "_ports_max": "ports",
    "_ms": "ms",
    "sockets": "sockets",
    "ports": "ports",
    "states": "sockets",
    "_at": "RFC 3339, UTC",
}
"""What the end of a field's name says about its unit; the longest end wins."""


def command(name: str) -> click.Command:
    """Return a command by its name."""
    found = portroom.get_command(click.Context(portroom), name)
    assert found is not None
    return found


def context_of(name: str) -> click.Context:
    """Return what a command is called in."""
    group = click.Context(portroom, info_name="portroom", **portroom.context_settings)
    return click.Context(command(name), info_name=name, parent=group)


# --------------------------------------------------------------------- commands


def commands() -> str:
    """Return the table of all commands."""
    rows = [
        (f"[`portroom {name}`](commands/{name}.md)", line) for name, (_, line) in COMMANDS.items()
    ]
    return table(("command", "answers"), rows)


def usage(name: str) -> str:
    """Return how a command is called and its help text."""
    found = command(name)
    context = context_of(name)
    line = found.get_usage(context).removeprefix("Usage: ")
    return f"```\n{line}\n```\n\n{help_text(found)}"


def help_text(found: click.Command) -> str:
    """Return the help text of a command as Markdown; what is set as it is becomes code."""
    return "\n\n".join(
        f"```\n{part[2:]}\n```" if part.startswith("\b\n") else part for part in paragraphs(found)
    )


def paragraphs(found: click.Command) -> list[str]:
    """Return the paragraphs of a command's help text, without the indent of its docstring."""
    return [cleandoc(part.rstrip()) for part in (found.help or "").split("\n\n")]


def options(name: str) -> str:
    """Return the table of a command's arguments and options."""
    found = command(name)
    context = context_of(name)
    rows = []
    for parameter in found.get_params(context):
        if isinstance(parameter, click.Option):
            record = parameter.get_help_record(context)
            if record is not None:  # None for one that portroom gives to itself
                rows.append((f"`{record[0]}`", " ".join(record[1].split())))
        else:
            rows.append((f"`{parameter.make_metavar(context)}`", "See above."))
    return table(("option", "meaning"), rows)


def exits(name: str) -> str:
    """Return the table of a command's exit statuses."""
    rows = [(str(status), meaning) for status, meaning in exit_statuses(name)]
    return table(("exit status", "meaning"), rows)


def exit_statuses(name: str) -> Iterator[tuple[int, str]]:
    """Yield each exit status that the help of a command tells, and its meaning."""
    for line in (command(name).epilog or "").splitlines()[2:]:
        status, _, meaning = line.strip().partition(" ")
        yield int(status), meaning.strip()


# ----------------------------------------------------------------------- fields


def answers() -> str:
    """Return the fields of every answer, each type once."""
    return "\n\n".join(fields_of(struct, in_answers()) for struct in in_answers())


def saved() -> str:
    """Return the fields of a saved Snapshot; what answers have too is told there."""
    own = [struct for struct in structs_of(document.Document) if struct not in in_answers()]
    return "\n\n".join(fields_of(struct, own) for struct in own)


def snapshot_schema() -> str:
    """Return the JSON Schema of ``portroom snapshot -o json``."""
    return as_json_schema(SNAPSHOT)


def in_answers() -> list[type[msgspec.Struct]]:
    """Return the types of all answers, in the order of first use."""
    found = [structs_of(one) for one in (*ANSWERS.values(), *EVENTS.values(), Namespaces)]
    return list(dict.fromkeys(struct for structs in found for struct in structs))


def structs_of(struct: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """Return a type and the types of its fields, in the order of their mention."""
    found = {struct: None}
    for field in msgspec.structs.fields(struct):
        for inner in _inner(type_info(field.type)):
            found |= dict.fromkeys(structs_of(inner))
    return list(found)


def _inner(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield the structs that a type mentions."""
    if isinstance(kind, msgspec.inspect.StructType):
        yield kind.cls
    for part in getattr(kind, "types", ()):
        yield from _inner(part)
    for name in ("item_type", "value_type"):
        if hasattr(kind, name):
            yield from _inner(getattr(kind, name))


def fields_of(struct: type[msgspec.Struct], here: list[type[msgspec.Struct]]) -> str:
    """Return the table of the fields of one type, under a heading; *here* are this page's."""
    meanings = tomllib.loads(MEANINGS.read_text())
    config = struct.__struct_config__
    rows = []
    if config.tag is not None:
        rows.append((f"`{config.tag_field}`", "text", "", f"Always `{config.tag}`."))
    for field in msgspec.structs.fields(struct):
        unit, meaning = told(meanings, struct, field.name)
        rows.append(
            (f"`{field.encode_name}`", type_name(type_info(field.type), here), unit, meaning)
        )
    return f"### {struct.__name__}\n\n" + table(("field", "type", "unit", "meaning"), rows)


def told(meanings: dict[str, Any], struct: type, name: str) -> tuple[str, str]:
    """
    Return the unit of a field, and its meaning as fields.toml has it.

    A field that a type inherits is told with the type that has it first.
    """
    for kind in struct.__mro__:
        entry = meanings.get(kind.__name__, {}).get(name)
        if entry is not None:
            unit, text = entry if isinstance(entry, list) else (unit_of(name), entry)
            return unit, text
    return unit_of(name), "**not documented**"


def unit_of(name: str) -> str:
    """
    Return the unit that the name of a field tells, or "".

    >>> unit_of("held_ports"), unit_of("occupancy_ratio"), unit_of("name")
    ('ports', '0…1', '')
    """
    ends = [end for end in UNITS if name.endswith(end)]
    return UNITS[max(ends, key=len)] if ends else ""


NAMES = {
    "IntType": "integer",
    "FloatType": "number",
    "StrType": "text",
    "BoolType": "true or false",
    "DateTimeType": "instant",
    "NoneType": "null",
    "AnyType": "anything",
    "CustomType": "ports as text",
    "BytesType": "base64",
}


def type_name(kind: Any, here: list[type[msgspec.Struct]]) -> str:
    """Return the type of a field in words."""
    shown = type(kind).__name__
    if shown == "StructType":
        page = "" if kind.cls in here else "json.md"
        return f"[{kind.cls.__name__}]({page}#{kind.cls.__name__.lower()})"
    if shown == "UnionType":
        return " or ".join(type_name(part, here) for part in kind.types)
    if shown in {"ListType", "VarTupleType"}:
        return f"list of {type_name(kind.item_type, here)}"
    if shown == "DictType":
        return f"object of {type_name(kind.value_type, here)}"
    if shown == "EnumType":
        return "one of " + ", ".join(f"`{one.value}`" for one in kind.cls)
    if shown == "CustomType" and kind.cls is document.RawText:
        shown = "StrType"
    return NAMES[shown]


# ------------------------------------------------------- settings, errors, rooms


def settings() -> str:
    """Return a section for each setting."""
    return "\n\n".join(
        f"### {setting.name}\n\n"
        f"`{setting.key}`, {setting.scope.value}{_unit(setting)}, default {_default(setting)}"
        f"{', writable' if setting.writable else ''}.\n\n"
        f"{setting.meaning}\n\n*{setting.does_not}*"
        for setting in SETTINGS
    )


def _unit(setting: Any) -> str:
    """Return the unit of a setting in words."""
    return f", unit {setting.unit}" if setting.unit else ""


def _default(setting: Any) -> str:
    """Return the default of a setting in words."""
    if setting.default is None:
        return "by machine"
    return f"`{setting.default}`" if str(setting.default) else "none"


def reasons(severity: str) -> str:
    """Return a section for each code of a reason of some severity."""
    remedies = tomllib.loads(REMEDIES.read_text())
    return "\n\n".join(
        f"### {code}\n\n{row.meaning}{_lifted(row.lifted_by)}\n\n"
        f"**What to do:** {remedies.get(code, '**not documented**')}"
        for code, row in CODES.items()
        if row.severity == severity
    )


def _lifted(options: tuple[str, ...]) -> str:
    """Return a sentence with the options that lift a refusal."""
    return f" Lifted by {' or '.join(f'`{one}`' for one in options)}." if options else ""


def error_classes() -> list[type[errors.PortroomError]]:
    """Return every class of error, the base last."""
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in found if issubclass(kind, errors.PortroomError)]


def error_table() -> str:
    """Return the table of the classes of error."""
    rows = [
        (f"`{kind.__name__}`", str(kind.exit_status), (kind.__doc__ or "").strip().split("\n")[0])
        for kind in error_classes()
        if kind is not errors.PortroomError
    ]
    return table(("class", "exit status", "says"), rows)


def metrics() -> str:
    """Return the table of all metrics, a section for each group."""
    groups = dict.fromkeys(metric.group for metric in METRICS)
    return "\n\n".join(f"### {group}\n\n{_metrics_of(group)}" for group in groups)


def _metrics_of(group: str) -> str:
    """Return the table of the metrics of one group."""
    rows = [
        (
            f"`{full_name(metric)}`",
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            f"{metric.most:,}",
            metric.meaning,
        )
        for metric in METRICS
        if metric.group == group
    ]
    return table(("metric", "type", "labels", "series at most", "meaning"), rows)


def modules(room: str) -> str:
    """Return the table of the modules of one room, by the first line of each."""
    folder = ROOT / "src/portroom" / room
    paths = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    rows = [
        (f"`{path.relative_to(ROOT / 'src/portroom').as_posix()}`", first_line(path.read_text()))
        for path in paths
        if path.name != "__init__.py" or len(path.read_text().splitlines()) > 3
    ]
    return table(("module", "what it is"), rows)


def decisions() -> str:
    """Return the list of decisions by their titles."""
    paths = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    titles = [path.read_text().partition("\n")[0].removeprefix("# ") for path in paths]
    return "\n".join(f"- [{title}]({path.name})" for path, title in zip(paths, titles, strict=True))


# ---------------------------------------------------------------- boot programs


def dialects() -> str:
    """Return the table of what differs between boot programs: a row a field, a column a version."""
    words = tomllib.loads(DIALECT_WORDS.read_text())
    rows = []
    for name in differing():
        text, numbers = words.get(name, ("**not documented**", []))
        cells = (dialect_cell(getattr(rules, name)) for rules in DIALECTS)
        rows.append((text, ", ".join(map(str, numbers)), *cells))
    return table(("rule", "above", *(rules.name for rules in DIALECTS)), rows)


def differing() -> list[str]:
    """Return the fields of a dialect that two programs or versions have differently."""
    own = {"program", "since"}
    return [
        name
        for name in Dialect._fields
        if name not in own and len({getattr(rules, name) for rules in DIALECTS}) > 1
    ]


CHARACTERS = {
    " ": "space",
    "\t": "TAB",
    "\n": "LF",
    "\v": "VT",
    "\f": "FF",
    "\r": "CR",
    "\0": "NUL",
}


def dialect_cell(value: object) -> str:
    r"""
    Return one field of a dialect in words.

    >>> (
    ...     dialect_cell(True),
    ...     dialect_cell(b"\n\0"),
    ...     dialect_cell((b"/etc/sysctl.d", b"/run/sysctl.d")),
    ... )
    ('yes', 'LF NUL', '`/etc`, `/run`')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not value:
        return "none"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, bytes):
        text = value.decode()
        return f"`{text}`" if text[0] == "/" else " ".join(CHARACTERS[one] for one in text)
    if isinstance(value, tuple):
        return ", ".join(f"`{path.decode().removesuffix('/sysctl.d')}`" for path in value)
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else str(value)


def first_line(source: str) -> str:
    """Return the first sentence of a module's docstring, in one line."""
    paragraph = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`")


def table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """
    Return a Markdown table.

    >>> print(table(("a", "b"), [("1", "2")]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
