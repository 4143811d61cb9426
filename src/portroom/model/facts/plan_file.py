"""The file of a plan: what `portroom plan --out` saves and `portroom apply` reads.

JSON, so that a person can read what will be written, and with a digest of the
plans: whoever edits them by hand is told so. The digest is no proof against
somebody who means harm; that nothing else is written than a fresh plan would
write is proven by making that plan again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from portroom.errors import InvalidRequestError, RefusedError
from portroom.model.facts.change import ChangePlan

FORMAT = "portroom-plan"

FORMAT_VERSION = 1

FILE_BYTES = 1 << 25
"""A plan with the longest list of reserved ports, in all its places, has 2 MB."""


class PlanFile(msgspec.Struct, frozen=True):
    """What stands in the file; ``plans`` is one a namespace."""

    format: str
    format_version: int
    digest: str
    plans: tuple[ChangePlan, ...]


def encode(plans: Sequence[ChangePlan]) -> bytes:
    """Return the file of some plans: indented JSON."""
    whole = PlanFile(FORMAT, FORMAT_VERSION, digest(plans), tuple(plans))
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def decode(content: bytes, name: str) -> tuple[ChangePlan, ...]:
    """
    Return the plans of a file.

    Args:
        content: All its bytes.
        name: What an error calls it.

    Raises:
        InvalidRequestError: It is no plan, or of a version that is not known.
        RefusedError: The plans were changed after they were made.
    """
    try:
        whole = msgspec.json.decode(content, type=PlanFile, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            f"{name!r} is no plan: {error}.", "Make one with `portroom plan … --out FILE`."
        ) from None
    if (whole.format, whole.format_version) != (FORMAT, FORMAT_VERSION):
        raise InvalidRequestError(
            f"{name!r} has the format {whole.format!r} {whole.format_version}, not "
            f"{FORMAT!r} {FORMAT_VERSION}.",
            "Make it again with this version of portroom.",
        )
    if whole.digest != digest(whole.plans) or not whole.plans:
        raise RefusedError(
            f"The plan {name!r} was changed after it was made: its digest does not match.",
            "Nothing was written. Make it again with `portroom plan … --out FILE`.",
        )
    return whole.plans


def digest(plans: Sequence[ChangePlan]) -> str:
    """Return the SHA-256 of some plans, in hexadecimal."""
    return hashlib.sha256(msgspec.json.encode(list(plans))).hexdigest()
