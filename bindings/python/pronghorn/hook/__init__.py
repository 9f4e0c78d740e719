# SPDX-License-Identifier: Apache-2.0
"""Existing programs, accelerated without a change to their source (docs/zero_change.md).

    python -m pronghorn program.py       # or: PRONGHORN=1 python program.py
    %load_ext pronghorn                  # in a notebook
    pronghorn.install()                  # in a program, before or after its imports
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any

from .core import HOOK, FallbackWarning
from .ledger import Report, Row
from .policy import Policy

__all__ = ["HOOK", "FallbackWarning", "Policy", "Report", "Row", "clear_report", "find_spec",
           "install", "install_from_environment", "installed", "policy", "report", "uninstall"]

find_spec = HOOK.find_spec


def install(**options: Any) -> Policy:
    """Accelerates the frameworks that it knows, those imported already and those that will be.

    `options`: fields of `Policy`, over what the environment says. Called again it changes the
    policy. Child processes do the same. Raises errors.InvalidArgument.
    """
    chosen = Policy.from_environment(**options)
    HOOK.print_call = _print_call
    HOOK.install(chosen)
    return chosen


def install_from_environment() -> None:
    install()
    if not HOOK.ledger.is_child:
        report_at_exit()


def uninstall() -> None:
    """Every method is the original's again, here and in new child processes."""
    HOOK.remove()


def installed() -> bool:
    return HOOK.installed


def policy() -> Policy:
    return HOOK.policy


def report() -> Report:
    """For every object and call: where it ran, how much, how long, and why not. Of this process and
    of its children so far; `print` it, or take `.rows`, `.to_dict()`, `.to_json()`."""
    return HOOK.report()


def clear_report() -> None:
    """Counts from zero again."""
    HOOK.ledger.clear()


_at_exit = False


def report_at_exit() -> None:
    """Prints and writes the report when this process ends, as the policy then says."""
    global _at_exit
    if not _at_exit:
        _at_exit = True
        atexit.register(_finish, os.getpid())


def _finish(owner: int) -> None:
    if os.getpid() != owner:
        return
    if HOOK.policy.verbose or HOOK.policy.profile:
        print(HOOK.report(), file=sys.stderr)
    if HOOK.policy.profile:
        for lines in HOOK.profiles:
            print(*lines(), sep="\n", file=sys.stderr)
    if HOOK.policy.report_file:
        path = HOOK.policy.report_file
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(HOOK.report().to_json())
        os.replace(path + ".part", path)


def _print_call(row: Row) -> None:
    rate = f", {row.rows / row.seconds:.1f} rows/s" if row.seconds > 0 else ""
    print(f"pronghorn: {row.framework} {row.object} {row.call}: {row.where}, {row.rows} rows, "
          f"{row.seconds:.4f} s{rate} {row.reason}".rstrip(), file=sys.stderr)
