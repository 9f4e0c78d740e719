# SPDX-License-Identifier: Apache-2.0
"""IPython: `%load_ext pronghorn`, then `%pronghorn` shows the report."""

from __future__ import annotations

from . import install, report


def load(shell) -> None:
    install()
    shell.register_magic_function(_magic, "line", "pronghorn")


def _magic(line: str) -> None:
    """%pronghorn: the report. %pronghorn NAME=VALUE ...: changes the policy (fallback=warn)."""
    if not line.strip():
        print(report())
        return
    options = {}
    for word in line.split():
        name, _, value = word.partition("=")
        options[name] = _value(value)
    install(**options)


def _value(text: str):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
