# SPDX-License-Identifier: Apache-2.0
"""What the hook may do, as one value; it travels to child processes in the environment."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from .. import errors

FALLBACKS = ("allow", "warn", "forbid")


@dataclasses.dataclass(frozen=True)
class Policy:
    """Every field can be given as an environment variable: `fallback` is PRONGHORN_FALLBACK."""

    # What happens when something stays on the original: nothing, a warning, or errors.Unsupported.
    # The report says it in each case.
    fallback: str = "allow"
    # Frameworks that are hooked, with commas between them; "" is every one.
    frameworks: str = ""
    # Least fraction of calibration rows whose top class must be that of the original.
    min_agreement: float = 0.95
    # Rows that calibrate a model, and that it is checked on.
    calibration_rows: int = 64
    # Calibration data: a .npy of tensors as the model takes them, or a folder of photographs. "":
    # the first rows that flow through.
    calibration: str = ""
    # A model must be this many times as fast as the original to take over; 0: it need not be.
    min_speedup: float = 1.0
    # Keep quantized models between runs (in PRONGHORN_CACHE, else the user's cache folder).
    keep: bool = True
    device: str = "auto"
    threads: int = 0
    # Print the report to stderr when the program ends; `profile` adds each call as it happens and
    # the time of each node of a model.
    verbose: bool = False
    profile: bool = False
    # A file that gets the report as JSON when the program ends.
    report_file: str = ""

    def __post_init__(self):
        def demand(good: bool, name: str, accepted: str) -> None:
            if not good:
                raise errors.InvalidArgument(
                    f"{name} is {getattr(self, name)!r}; {accepted} is accepted")

        demand(self.fallback in FALLBACKS, "fallback", "allow, warn or forbid")
        demand(0 <= self.min_agreement <= 1, "min_agreement", "0 to 1")
        demand(1 <= self.calibration_rows <= 100_000, "calibration_rows", "1 to 100000")
        demand(self.min_speedup >= 0, "min_speedup", "0 or more")
        demand(self.threads >= 0, "threads", "0 (every core) or more")
        known = _framework_names()
        unknown = [f for f in self.framework_list() if f not in known]
        demand(not unknown, "frameworks", "one or more of " + ", ".join(known))

    def framework_list(self) -> list[str]:
        return [f.strip() for f in self.frameworks.split(",") if f.strip()]

    def hooks(self, framework: str) -> bool:
        return not self.frameworks or framework in self.framework_list()

    def to_environment(self) -> dict[str, str]:
        """Every field that is not at its default."""
        variables = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                text = str(int(value)) if isinstance(value, bool) else str(value)
                variables[_variable(field.name)] = text
        return variables

    @staticmethod
    def from_environment(**changes) -> Policy:
        """The environment's policy with some fields changed. Raises errors.InvalidArgument."""
        values = {}
        for field in dataclasses.fields(Policy):
            text = os.environ.get(_variable(field.name), "")
            if text:
                values[field.name] = _parse(field, text)
        unknown = [name for name in changes if name not in _NAMES]
        if unknown:
            raise errors.InvalidArgument(
                f"{unknown[0]} is not an option of the hook; there are " + ", ".join(_NAMES))
        for field in dataclasses.fields(Policy):
            if field.name in changes:
                values[field.name] = _given(field, changes[field.name])
        if values.get("calibration"):
            values["calibration"] = os.path.abspath(values["calibration"])  # for children elsewhere
        return Policy(**values)


def _framework_names() -> list[str]:
    import _pronghorn_start

    return list(_pronghorn_start.FRAMEWORKS)


def _variable(name: str) -> str:
    return "PRONGHORN_" + name.upper()


def _given(field: dataclasses.Field[Any], value: Any) -> Any:
    """An argument: of the field's type, or text that means such a value."""
    kind = type(field.default)
    if isinstance(value, (str, os.PathLike)):
        return _parse(field, os.fspath(value), field.name)
    if kind is bool and isinstance(value, (bool, int)) or kind is float and isinstance(value, int):
        return kind(value)
    if not isinstance(value, kind) or kind is int and isinstance(value, bool):
        raise errors.InvalidArgument(f"{field.name} is {value!r}; {kind.__name__} is accepted")
    return value


def _parse(field: dataclasses.Field[Any], text: str, name: str = "") -> Any:
    kind = type(field.default)
    if kind is bool:
        return text.lower() not in ("0", "no", "false", "off")
    try:
        return kind(text)
    except ValueError:
        raise errors.InvalidArgument(
            f"{name or _variable(field.name)} is {text!r}; a number is accepted") from None


_NAMES = [field.name for field in dataclasses.fields(Policy)]
VARIABLES = [_variable(name) for name in _NAMES]
