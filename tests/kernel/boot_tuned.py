"""The real tuned: its plugin for sysctls, told to apply the files of a host again.

Rules of this file:

- what reads files and writes settings is tuned's own code, of a package that
  ``./run boot-programs`` unpacked or that is installed;
- what stands in for modules that are not here (D-Bus, udev, process statistics)
  has no content: the plugin imports them by way of others and calls none of them
  on its way from a file to a setting, or the test would fail;
- all of it happens in a child that ends: nothing of tuned stays imported.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.machinery
import inspect
import logging
import os
import re
import sys
import types
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from tests.kernel.boot_host import UNPACKED, Host
from tests.kernel.harness import in_child

INSTALLED = (
    *Path("/usr/lib").glob("python3*/site-packages"),
    Path("/usr/lib/python3/dist-packages"),
)

ABSENT = frozenset({"configobj", "dbus", "linux_procfs", "perf", "procfs", "pyudev", "validate"})
"""Modules that tuned imports and that have no part in applying sysctl files."""


class Tuned(NamedTuple):
    """A tuned: the folder to import it from, and its version."""

    folder: Path
    version: tuple[int, ...]

    @property
    def label(self) -> str:
        """Return the version, for test ids."""
        return ".".join(map(str, self.version))


@functools.cache
def found_tuned() -> list[Tuned]:
    """Return each version of tuned that is installed or was unpacked, once."""
    folders = [*INSTALLED, *sorted(UNPACKED.glob("*/tuned"))]
    found = {_version(folder): folder for folder in folders if (folder / "tuned").is_dir()}
    return [Tuned(folder, version) for version, folder in sorted(found.items())]


def _version(folder: Path) -> tuple[int, ...]:
    """Return the version of tuned in a folder, by the numbers in its code."""
    text = (folder / "tuned/version.py").read_text()
    return tuple(map(int, re.findall(r"^TUNED_VERSION_[A-Z]+ = (\d+)$", text, re.MULTILINE)))


class Plugin:
    """
    The plugin for sysctls of one tuned, to be made inside a child only.

    Its configuration is that of an empty ``tuned-main.conf``, but for what excludes()
    says; no profile is active.
    """

    def __init__(self, tuned: Tuned) -> None:
        sys.dont_write_bytecode = True
        warnings.simplefilter("ignore")  # its code is older than some warnings
        sys.path.insert(0, str(tuned.folder))
        sys.meta_path.append(_Absent())
        self._module = importlib.import_module("tuned.plugins.plugin_sysctl")
        configuration = importlib.import_module("tuned.utils.global_config")
        self._plugin = self._module.SysctlPlugin.__new__(self._module.SysctlPlugin)
        self._plugin._global_cfg = configuration.GlobalConfig.__new__(configuration.GlobalConfig)
        self._plugin._global_cfg._cfg = self._options = {}
        self._plugin._cmd = self._module.commands()
        logging.disable(logging.CRITICAL)
        # Codecs are imported when they are first used, and the host has no Python.
        "host".encode("idna")

    @property
    def can_exclude(self) -> bool:
        """Say whether this version leaves out keys that its configuration names."""
        return hasattr(self._module.consts, "CFG_REAPPLY_SYSCTL_EXCLUDE")

    def excludes(self, patterns: tuple[str, ...]) -> None:
        """Configure keys that are not applied again."""
        self._options["reapply_sysctl_exclude"] = ",".join(patterns)

    def boot(self, host: Host) -> None:
        """Apply the files of a host as tuned does, in a child for which the host is all there is."""
        in_child(lambda: self._apply_below(host.root))

    def _apply_below(self, root: Path) -> None:
        """Apply the files below a root, in this process."""
        os.chroot(root)
        os.chdir("/")
        # tuned does not catch what it cannot decode or open, and ends there.
        with contextlib.suppress(UnicodeDecodeError, ValueError):
            self._apply()

    def _apply(self) -> None:
        """Call what tuned calls after it applied a profile: a function, later a method."""
        owner: Any = self._module if hasattr(self._module, "_apply_system_sysctl") else self._plugin
        apply = owner._apply_system_sysctl
        # What a profile set, to tell of conflicts; the oldest versions do not ask.
        apply(*({} for _ in inspect.signature(apply).parameters))


class _Absent:
    """Finds the modules that are not here, as modules whose every name is an empty class."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """Return a module for a name that may be absent."""
        if name.partition(".")[0] not in ABSENT:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return an empty module."""
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module empty."""


class _Empty(types.ModuleType):
    """A module that has each name it is asked for."""

    def __getattr__(self, name: str) -> type:
        """Return an empty class, which may be raised or be the base of another."""
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})
