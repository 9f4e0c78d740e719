# SPDX-License-Identifier: Apache-2.0
"""IPython: `%load_ext pronghorn`, then `%pronghorn` shows the report."""

from __future__ import annotations

from typing import Any

from .. import errors
from . import install, report


def load(shell: Any) -> None:
    install()
    shell.register_magic_function(_magic, "line", "pronghorn")


def _magic(line: str) -> None:
    """%pronghorn: the report. %pronghorn NAME=VALUE ...: changes the policy (fallback=warn)."""
    if not line.strip():
        print(report())
        return
    options = {}
    for word in line.split():
        name, given, value = word.partition("=")
        if not given:
            raise errors.InvalidArgument(f"%pronghorn {word}: NAME=VALUE is accepted, as in fallback=warn")
        options[name] = value
    install(**options)
