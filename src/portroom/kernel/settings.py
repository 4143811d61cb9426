"""Settings: the sysctls of the table in model, read and typed."""

from __future__ import annotations

from portroom.errors import KernelDataError, NotPermittedError, NotSupportedError
from portroom.kernel.files import LARGEST_READ_BYTES, PROC
from portroom.kernel.sysctl import read_value, sysctl_path
from portroom.model.facts import settings as table
from portroom.model.facts.settings import RANGE_KEY, SETTINGS, ValueType
from portroom.model.facts.snapshot import Settings, SettingValue

SHORT_READ_BYTES = 256
"""Ten times what a range or a number needs."""


def read_settings(proc: str = PROC) -> Settings:
    """
    Read every setting of the table that exists in the namespace of the thread.

    Args:
        proc: Where the proc file system is mounted.

    Raises:
        NotSupportedError: There is no ephemeral range here, so no /proc/sys.
        NotPermittedError: A setting exists and may not be read.
        KernelDataError: A value is not of its type; it is quoted.
    """
    values = {}
    for setting in SETTINGS:
        long = setting.type is ValueType.PORTS
        limit = LARGEST_READ_BYTES if long else SHORT_READ_BYTES
        text = _read_or_none(setting.key, proc, limit)
        if text is not None:
            values[setting.key] = parse_value(setting.key, setting.type, text)
    if RANGE_KEY not in values:
        raise NotSupportedError(
            f"{sysctl_path(RANGE_KEY, proc)} does not exist.",
            "Mount the proc file system with its folder sys.",
        )
    return Settings(values)


def parse_value(key: str, value_type: ValueType, text: str) -> SettingValue:
    """
    Parse the text of one sysctl by its type.

    Raises:
        KernelDataError: The text is not of that type; it is quoted.
    """
    try:
        return table.parse_value(value_type, text)
    except ValueError as error:
        raise KernelDataError(f"{key}: {error}.") from None


def _read_or_none(key: str, proc: str, limit: int) -> str | None:
    """Read one sysctl, or return None where this kernel does not have it."""
    try:
        return read_value(key, proc, limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise NotPermittedError(
            f"{sysctl_path(key, proc)} may not be read.",
            "A security profile forbids it; run portroom outside of that profile.",
        ) from None
