# SPDX-License-Identifier: Apache-2.0
"""What ran where, how much, how long, and why not: counted in every process, read in one.

A process writes its counts into a folder that its ancestor named in the environment; the ancestor
adds them to its own. Files appear whole: after each call of some milliseconds, and within a twentieth
of a second of shorter ones, so that workers which are ended from outside are counted too.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import tempfile
import threading
import time
from typing import Iterable

_FOLDER = "PRONGHORN_REPORT_FOLDER"
_WRITE_DELAY = 0.05
_WORTH_WRITING = 0.002  # seconds of a call, ten times what writing takes


@dataclasses.dataclass
class Row:
    """Calls of one kind: the same object, method, place and reason.

    `seconds_saved` is an estimate: rows times what the original took for one when it was measured,
    less what was taken; it covers `rows_compared` of `rows` (the original may not have been
    measured).
    """

    framework: str
    object: str
    call: str
    where: str
    reason: str = ""
    calls: int = 0
    rows: int = 0
    seconds: float = 0.0
    seconds_saved: float = 0.0
    rows_compared: int = 0

    @property
    def key(self) -> tuple:
        return (self.framework, self.object, self.call, self.where, self.reason)

    @property
    def accelerated(self) -> bool:
        return self.where != "original"

    def add(self, other: Row) -> None:
        self.calls += other.calls
        self.rows += other.rows
        self.seconds += other.seconds
        self.seconds_saved += other.seconds_saved
        self.rows_compared += other.rows_compared


class Report:
    """A snapshot: `rows`, `notes` (framework, object, text) and `processes`."""

    def __init__(self, rows: list[Row], notes: list[tuple[str, str, str]], processes: int):
        self.rows = rows
        self.notes = notes
        self.processes = processes

    def to_dict(self) -> dict:
        return {
            "schema": "pronghorn-hook-report-1",
            "processes": self.processes,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "notes": [dict(zip(("framework", "object", "text"), note)) for note in self.notes],
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def __str__(self) -> str:
        if not self.rows and not self.notes:
            return "pronghorn: nothing that it knows was called"
        lines = []
        objects = dict.fromkeys((row.framework, row.object) for row in self.rows)
        objects.update(dict.fromkeys(note[:2] for note in self.notes))
        many = f", {self.processes} processes" if self.processes > 1 else ""
        lines.append(f"pronghorn: {len(objects)} object{'s' if len(objects) > 1 else ''}{many}")
        for framework, name in objects:
            lines.append(f"{framework} {name}".rstrip())
            lines += [f"  {text}" for f, n, text in self.notes if (f, n) == (framework, name)]
            for row in self.rows:
                if (row.framework, row.object) == (framework, name):
                    lines.append("  " + _line(row))
        return "\n".join(lines)

    __repr__ = __str__


def _line(row: Row) -> str:
    text = f"{row.call:<17} {row.where:<24} {row.calls:>6} calls {row.rows:>8} rows {row.seconds:>9.3f} s"
    if row.accelerated and row.rows_compared:
        text += f"  about {row.seconds_saved:.3f} s saved"
        if row.rows_compared < row.rows:
            text += f" (by {row.rows_compared} rows)"
    return f"{text}  {row.reason}".rstrip()


class Ledger:
    """The counts of this process. Methods may be called from any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._rows: dict[tuple, Row] = {}
        self._notes: dict[tuple[str, str, str], None] = {}
        self._written = True
        self._last_write = 0.0
        self._timer: threading.Timer | None = None
        self._owner = os.getpid()
        self._own_folder: str | None = None
        self._children: str | None = os.environ.get(_FOLDER)
        self.is_child = bool(self._children)
        os.register_at_fork(after_in_child=self._forked)
        atexit.register(self.flush)

    # ---- counting

    def record(self, framework: str, name: str, call: str, where: str, rows: int, seconds: float, *,
               original_seconds: float | None = None, reason: str = "",
               call_seconds: float = 0.0) -> Row:
        """Adds one call. `original_seconds`: what the original is thought to take for these rows.
        `call_seconds`: of the whole call, where this is a part of it."""
        row = Row(framework, name, call, where, reason, 1, rows, seconds)
        if original_seconds is not None and row.accelerated:
            row.seconds_saved = original_seconds - seconds
            row.rows_compared = rows
        with self._lock:
            known = self._rows.get(row.key)
            if known is None:
                self._rows[row.key] = dataclasses.replace(row)
            else:
                known.add(row)
            now = self._changed(max(seconds, call_seconds))
        if now:
            self.flush()
        return row

    def note(self, framework: str, name: str, text: str) -> None:
        """Something about an object that belongs to no single call; the same text counts once."""
        with self._lock:
            self._notes[(framework, name, text)] = None
            self._changed()

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()
            self._notes.clear()
            self._changed()
            self._forget_children()

    def report(self) -> Report:
        """This process and every child that has written so far."""
        with self._lock:
            rows = {key: dataclasses.replace(row) for key, row in self._rows.items()}
            notes = dict(self._notes)
        processes = 1
        for content in self._read_children():
            processes += 1
            for fields in content["rows"]:
                row = Row(**fields)
                if row.key in rows:
                    rows[row.key].add(row)
                else:
                    rows[row.key] = row
            notes.update(dict.fromkeys(tuple(note.values()) for note in content["notes"]))
        return Report(list(rows.values()), list(notes), processes)

    # ---- processes

    def share(self) -> None:
        """Makes the folder that children of this process write to, and names it to them."""
        if self._children is None:
            self._own_folder = self._children = tempfile.mkdtemp(prefix="pronghorn-report-")
            atexit.register(self._remove_folder, self._owner)
        os.environ[_FOLDER] = self._children

    def unshare(self) -> None:
        """New children are not told any more; what earlier ones wrote still counts."""
        if self._own_folder is not None and os.getpid() == self._owner:
            os.environ.pop(_FOLDER, None)

    def flush(self) -> None:
        """Writes this process's counts now, when it is a child and they changed."""
        with self._lock:
            if not self.is_child or self._written:
                return
            content = Report(list(self._rows.values()), list(self._notes), 1).to_json()
            self._written = True
            self._timer = None
            self._last_write = time.monotonic()
        path = os.path.join(self._children, f"{os.getpid()}.json")
        part = f"{path}.{threading.get_ident()}.part"
        try:
            with open(part, "w", encoding="utf-8") as file:
                file.write(content)
            os.replace(part, path)
        except OSError:
            pass  # the ancestor and its folder are gone: nobody is left to read it

    def _changed(self, seconds: float = 0.0) -> bool:
        """With the lock. True: it is to be written now, without the lock."""
        self._written = False
        if not self.is_child:
            return False
        if seconds > _WORTH_WRITING or time.monotonic() - self._last_write > _WRITE_DELAY:
            return True
        if self._timer is None:
            self._timer = threading.Timer(_WRITE_DELAY, self.flush)
            self._timer.daemon = True
            self._timer.start()
        return False

    def _forked(self) -> None:
        self._lock = threading.Lock()
        self._rows, self._notes, self._timer = {}, {}, None
        self._written = True
        self.is_child = self._children is not None
        _flush_when_multiprocessing_ends(self)

    def _read_children(self) -> Iterable[dict]:
        if self._children is None or self.is_child:
            return
        for name in sorted(os.listdir(self._children)) if os.path.isdir(self._children) else ():
            if name.endswith(".json"):
                with open(os.path.join(self._children, name), encoding="utf-8") as file:
                    yield json.load(file)

    def _forget_children(self) -> None:
        if self._children is None or self.is_child or not os.path.isdir(self._children):
            return
        for name in os.listdir(self._children):
            os.unlink(os.path.join(self._children, name))

    def _remove_folder(self, owner: int) -> None:
        if os.getpid() != owner or self._own_folder is None:
            return
        import shutil

        shutil.rmtree(self._own_folder, ignore_errors=True)


def _flush_when_multiprocessing_ends(ledger: Ledger) -> None:
    # Workers of multiprocessing leave by os._exit, past atexit; its own finalizers do run, but those
    # of the parent are dropped after the fork, and then what is registered here is called.
    import sys

    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(
            ledger, lambda it: util.Finalize(it, it.flush, exitpriority=-100))
