# SPDX-License-Identifier: Apache-2.0
"""Waits for modules: calls back when one has been imported, before its importer goes on."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Callable

from _pronghorn_start import Starter


class Finder(importlib.abc.MetaPathFinder):
    """Finds what the finders after it find, with a loader that calls `loaded(module)` at the end."""

    def __init__(self, names, loaded: Callable[[ModuleType], None]):
        self._names = frozenset(names)
        self._loaded = loaded

    def find_spec(self, name, path=None, target=None):
        if name not in self._names:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, Finder) or finder is Starter:
                continue
            if not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self._loaded)
                return spec
        return None

    def install(self) -> None:
        """From now on; modules that are there already are called back at once."""
        if Starter in sys.meta_path:  # its work is done here
            sys.meta_path.remove(Starter)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        for name in sorted(self._names):
            if _complete(sys.modules.get(name)):
                self._loaded(sys.modules[name])

    def remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)


def _complete(module: ModuleType | None) -> bool:
    spec = getattr(module, "__spec__", None)
    return module is not None and not getattr(spec, "_initializing", False)


class _Loader(importlib.abc.Loader):
    """The module's own loader, and a call at the end; the module does not keep it."""

    def __init__(self, own, loaded):
        self._own = own
        self._loaded = loaded

    def create_module(self, spec):
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        self._loaded(module)

    def __getattr__(self, name):
        return getattr(self._own, name)
