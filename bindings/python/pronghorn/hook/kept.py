# SPDX-License-Identifier: Apache-2.0
"""Quantized models that are kept between runs, by a digest of what they were made from."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

from .. import _core, errors

# What a digest means and what the files say; a change makes older files unknown.
FORMAT = 1
_MOST_BYTES = 2 << 30


def folder() -> pathlib.Path | None:
    """$PRONGHORN_CACHE, else $XDG_CACHE_HOME/pronghorn, else ~/.cache/pronghorn; and "hook" in it.
    None when there is no such place."""
    if own := os.environ.get("PRONGHORN_CACHE"):
        return pathlib.Path(own, "hook")
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return pathlib.Path(xdg, "pronghorn", "hook")
    if home := os.environ.get("HOME"):
        return pathlib.Path(home, ".cache", "pronghorn", "hook")
    return None


def load(digest: str) -> tuple[_core.Model, dict[str, Any]] | None:
    """The model of a digest and what was written beside it; None when it is not kept."""
    place = folder()
    if place is None:
        return None
    try:
        with open(place / f"{digest}.json", encoding="utf-8") as file:
            facts = json.load(file)
        if facts.get("format") != FORMAT:
            return None
        model = _core.Model(place / f"{digest}.onnx")
        os.utime(place / f"{digest}.json")  # used now: among the last to go
        return model, facts
    except (OSError, ValueError, errors.Error):
        return None


def save(digest: str, model: _core.Model, facts: dict[str, Any]) -> None:
    """Best effort: a full or read-only disk is no reason to fail."""
    place = folder()
    if place is None:
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
        model.save(place / f"{digest}.onnx")
        part = place / f"{digest}.json.{os.getpid()}.part"
        part.write_text(json.dumps({**facts, "format": FORMAT}), encoding="utf-8")
        os.replace(part, place / f"{digest}.json")
        _prune(place)
    except (OSError, errors.Error):
        return


def _prune(place: pathlib.Path) -> None:
    """Drops what was not used for longest until the rest is below the limit."""
    ages = sorted(place.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    size = 0
    for path in ages:
        model = path.with_suffix(".onnx")
        size += model.stat().st_size if model.exists() else 0
        if size > _MOST_BYTES:
            path.unlink(missing_ok=True)
            model.unlink(missing_ok=True)
