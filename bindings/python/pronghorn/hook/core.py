# SPDX-License-Identifier: Apache-2.0
"""The hook: what adapters of frameworks are given, and what installs and removes them.

An adapter is a module of `pronghorn.hook.frameworks` with a function `attach(module, hook)`; the
table in `_pronghorn_start` says for which modules. It replaces methods with `hook.patch`, asks
`hook.policy`, counts with `hook.ledger.record`, and says `hook.fall_back` where the original stays.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import threading
import warnings
from types import ModuleType
from typing import Any, Callable, Iterator

import _pronghorn_start

from .. import errors
from .finder import Finder
from .ledger import Ledger, Report
from .policy import VARIABLES, Policy


class FallbackWarning(UserWarning):
    """Something stays on the original, under the policy fallback="warn"."""


class Hook:
    """One a process."""

    def __init__(self):
        self.policy = Policy()
        self.ledger = Ledger()
        self.installed = False
        self._finder = Finder(_pronghorn_start.MODULES, self._loaded)
        self._patches: list[tuple[Any, str, bool, Any]] = []
        self._attached: set[str] = set()
        self._told: set[tuple] = set()
        self._environment: dict[str, str | None] = {}
        self._inside = threading.local()
        self.print_call: Callable[[Any], None] = lambda row: None
        self.profiles: list[Callable[[], list[str]]] = []  # of adapters: lines for --profile

    # ---- for adapters

    def patch(self, owner: Any, name: str, make: Callable[[Callable], Callable]) -> None:
        """Replaces the method or function `name` of a class or module by `make(original)`, until
        the hook is removed. Does nothing when there is no such name."""
        original = getattr(owner, name, None)
        if original is None:
            return
        own = name in vars(owner)
        self._patches.append((owner, name, own, vars(owner)[name] if own else None))
        setattr(owner, name, functools.wraps(original)(make(original)))

    def record(self, framework: str, name: str, call: str, where: str, rows: int, seconds: float,
               **more) -> None:
        """`Ledger.record`, shown at once under the policy's `profile`."""
        row = self.ledger.record(framework, name, call, where, rows, seconds, **more)
        if self.policy.profile:
            self.print_call(row)

    def fall_back(self, framework: str, name: str, call: str, reason: str) -> None:
        """Before the original runs for good: nothing, a warning (once), or errors.Unsupported.
        The call itself is for the caller to record, with the same reason."""
        if self.policy.fallback == "forbid":
            raise errors.Unsupported(
                f"{framework} {name} {call} stays on the original: {reason}. The policy is "
                "fallback=forbid; allow and warn let the original run")
        if self.policy.fallback == "warn" and (framework, name, reason) not in self._told:
            self._told.add((framework, name, reason))
            warnings.warn(f"pronghorn: {framework} {name} {call} stays on the original: {reason}",
                          FallbackWarning, stacklevel=4)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """While the original (or our own work) runs: what it calls in turn is not ours to take."""
        depth = getattr(self._inside, "depth", 0)
        self._inside.depth = depth + 1
        try:
            yield
        finally:
            self._inside.depth = depth

    @property
    def active(self) -> bool:
        """Whether a call of this thread may be taken over."""
        return self.installed and not getattr(self._inside, "depth", 0)

    # ---- for the doors

    def find_spec(self, name, path=None, target=None):
        return self._finder.find_spec(name, path, target)

    def install(self, policy: Policy) -> None:
        """Hooks what is imported and what will be; again: changes the policy."""
        self.policy = policy
        self._export(policy)
        self.ledger.share()
        if not self.installed:
            self.installed = True
            self._finder.install()

    def remove(self) -> None:
        """Every method is the original's again; what was counted stays."""
        self._finder.remove()
        for owner, name, own, original in reversed(self._patches):
            if own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)
        self._patches.clear()
        self._attached.clear()
        self._told.clear()
        self.profiles.clear()
        self.ledger.unshare()
        self.installed = False
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._environment.clear()

    def report(self) -> Report:
        return self.ledger.report()

    # ---- own

    def _export(self, policy: Policy) -> None:
        # Children of this process are to do the same: pronghorn.pth reads it.
        for name in ["PRONGHORN", *VARIABLES]:
            self._environment.setdefault(name, os.environ.get(name))
            os.environ.pop(name, None)
        os.environ["PRONGHORN"] = "1"
        os.environ.update(policy.to_environment())

    def _loaded(self, module: ModuleType) -> None:
        framework, adapter = _pronghorn_start.MODULES[module.__name__]
        if not self.installed or module.__name__ in self._attached:
            return
        if not self.policy.hooks(framework):
            return
        self._attached.add(module.__name__)
        try:
            attach = importlib.import_module(f"pronghorn.hook.frameworks.{adapter}").attach
            attach(module, self)
        except Exception as error:  # the user's import must not fail because of us
            version = getattr(module, "__version__", "of unknown version")
            reason = f"{module.__name__} {version} cannot be hooked: {error!r}"
            self.ledger.note(framework, "", reason)
            self.fall_back(framework, module.__name__, "import", reason)


HOOK = Hook()
