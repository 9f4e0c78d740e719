# SPDX-License-Identifier: Apache-2.0
"""The zero-change hook without any framework: imports, policy, counting, the ways to start it."""

import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pronghorn import errors, hook
from pronghorn.hook import core, kept, twin
from pronghorn.hook.finder import Finder
from pronghorn.hook.ledger import Ledger
from pronghorn.hook.policy import VARIABLES, Policy


def python(*arguments, **environment):
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PRONGHORN")}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True,
                          env={**variables, **environment})


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module on the path that says in which order things happened."""
    (tmp_path / "waited_for.py").write_text("ORDER = ['body']\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "waited_for"
    sys.modules.pop("waited_for", None)


def test_finder_calls_back_between_body_and_importer(module):
    finder = Finder([module], lambda m: m.ORDER.append("hook"))
    finder.install()
    try:
        loaded = importlib.import_module(module)
    finally:
        finder.remove()
    assert loaded.ORDER == ["body", "hook"]
    assert type(loaded.__loader__).__module__ == "importlib._bootstrap_external" or (
        type(loaded.__loader__).__name__ == "SourceFileLoader")
    assert loaded.__spec__.loader is loaded.__loader__


def test_finder_takes_what_is_imported_already(module):
    loaded = importlib.import_module(module)
    finder = Finder([module], lambda m: m.ORDER.append("hook"))
    finder.install()
    finder.remove()
    assert loaded.ORDER == ["body", "hook"]


def test_patches_are_undone():
    class Base:
        def own(self):
            return "base"

    class Derived(Base):
        pass

    it = core.Hook()
    it.patch(Base, "own", lambda original: lambda self: "ours, " + original(self))
    it.patch(Derived, "own", lambda original: lambda self: "derived, " + original(self))
    it.patch(Base, "absent", lambda original: lambda self: None)
    assert Derived().own() == "derived, ours, base"
    it.remove()
    assert Derived().own() == "base" and "own" not in vars(Derived) and not hasattr(Base, "absent")


@pytest.mark.parametrize("field, value", [
    ("fallback", "never"), ("min_agreement", 1.5), ("calibration_rows", 0), ("min_speedup", -1),
    ("frameworks", "keras,caffe"), ("threads", -1),
])
def test_policy_names_the_field_and_what_is_accepted(field, value):
    with pytest.raises(errors.InvalidArgument, match=f"{field} is .*accepted"):
        Policy(**{field: value})


def test_policy_travels_in_the_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    policy = Policy(fallback="warn", min_agreement=0.5, keep=False, verbose=True)
    for name, text in policy.to_environment().items():
        monkeypatch.setenv(name, text)
    assert Policy.from_environment() == policy
    assert Policy.from_environment(fallback="allow").fallback == "allow"
    monkeypatch.setenv("PRONGHORN_MIN_AGREEMENT", "much")
    with pytest.raises(errors.InvalidArgument, match="PRONGHORN_MIN_AGREEMENT is 'much'; a number"):
        Policy.from_environment()
    monkeypatch.delenv("PRONGHORN_MIN_AGREEMENT")
    with pytest.raises(errors.InvalidArgument, match="speed is not an option"):
        Policy.from_environment(speed=3, min_agreement=0)


def test_ledger_adds_calls_and_estimates():
    ledger = Ledger()
    for _ in range(2):
        ledger.record("keras", "net", "predict", "cpu INT8", 10, 0.5, original_seconds=2.0)
    ledger.record("keras", "net", "predict", "original", 4, 1.0, reason="calibrating")
    ledger.note("keras", "net", "checked")
    ledger.note("keras", "net", "checked")
    fast, slow = ledger.report().rows
    assert (fast.calls, fast.rows, fast.seconds, fast.seconds_saved) == (2, 20, 1.0, 3.0)
    assert (slow.calls, slow.rows, slow.accelerated, slow.reason) == (1, 4, False, "calibrating")
    text = str(ledger.report())
    assert text.count("checked") == 1 and "about 3.000 s saved" in text and "calibrating" in text
    assert json.loads(ledger.report().to_json())["rows"][0]["rows"] == 20


def test_fallback_policies(monkeypatch):
    it = core.Hook()
    it.fall_back("keras", "net", "predict", "a reason")
    monkeypatch.setattr(it, "policy", Policy(fallback="warn"))
    with pytest.warns(core.FallbackWarning, match="net predict stays on the original: a reason"):
        it.fall_back("keras", "net", "predict", "a reason")
    monkeypatch.setattr(it, "policy", Policy(fallback="forbid"))
    with pytest.raises(errors.Unsupported, match="a reason.*fallback=forbid"):
        it.fall_back("keras", "net", "predict", "a reason")


def test_calls_inside_the_original_are_not_taken():
    it = core.Hook()
    it.installed = True
    assert it.active
    with it.inside(), it.inside():
        assert not it.active
    assert it.active


def test_comparison_of_outputs():
    classes = np.float32([[0.1, 0.9], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    assert twin.compare(classes, classes) == ("top-1", 1.0)
    assert twin.compare(classes[:, ::-1], classes) == ("top-1", 0.0)
    maps = np.float32(np.arange(1, 17).reshape(1, 2, 2, 4))
    measure, value = twin.compare(maps * np.float32(1.1), maps)
    assert measure == "dB" and value == pytest.approx(20, abs=0.01)


def test_kept_twins(tmp_path, monkeypatch, colours):
    monkeypatch.setenv("PRONGHORN_CACHE", str(tmp_path))
    assert kept.load("0" * 64) is None
    kept.save("0" * 64, colours, {"facts": {"rows": 3}})
    model, facts = kept.load("0" * 64)
    assert model.to_bytes() == colours.to_bytes() and facts["facts"] == {"rows": 3}
    (tmp_path / "hook" / ("0" * 64 + ".onnx")).write_bytes(b"no model")
    assert kept.load("0" * 64) is None


PROGRAM = """
import sys, pronghorn.hook as hook
print(__name__, __file__ == sys.argv[0], sys.argv[1:], hook.installed(), hook.policy().fallback)
"""


def test_the_command_runs_a_program_as_python_does(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    done = python("-m", "pronghorn", "--fallback", "warn", str(program), "--fallback", "-v")
    assert done.stdout == "__main__ True ['--fallback', '-v'] True warn\n", done.stderr
    assert done.stderr == ""
    done = python("-m", "pronghorn", "-v", str(program), PRONGHORN_FALLBACK="forbid")
    assert done.stdout == "__main__ True [] True forbid\n"
    assert "nothing that it knows was called" in done.stderr


def test_the_command_runs_a_module_and_its_exit_status_counts(tmp_path, monkeypatch):
    (tmp_path / "a_module.py").write_text("import sys; sys.exit(len(sys.argv))", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert python("-m", "pronghorn", "-m", "a_module", "x", "-y").returncode == 3


@pytest.mark.parametrize("arguments, message", [
    (["no-such-program.py"], "no-such-program.py: there is no such file"),
    (["--min-agreement", "2", __file__], "min_agreement is 2.0; 0 to 1 is accepted"),
    (["--frameworks", "caffe", __file__], "frameworks is 'caffe'"),
])
def test_the_command_refuses(arguments, message):
    done = python("-m", "pronghorn", *arguments)
    assert done.returncode != 0 and message in done.stderr


@pytest.mark.skipif("PRONGHORN_SANITIZED" in os.environ, reason="sanitize.sh installs no .pth file")
def test_the_environment_starts_it_in_every_interpreter():
    code = "import sys; print('_pronghorn_start' in sys.modules, 'numpy' in sys.modules)"
    assert python("-c", code).stdout == "False False\n"
    assert python("-c", code, PRONGHORN="0").stdout == "False False\n"
    assert python("-c", code, PRONGHORN="1").stdout == "True False\n"


def test_install_tells_child_processes(monkeypatch):
    monkeypatch.setenv("PRONGHORN_MIN_AGREEMENT", "0.5")
    hook.install(fallback="warn")
    try:
        assert os.environ["PRONGHORN"] == "1" and os.environ["PRONGHORN_FALLBACK"] == "warn"
        assert os.environ["PRONGHORN_MIN_AGREEMENT"] == "0.5"
        hook.install(fallback="allow")
        assert "PRONGHORN_FALLBACK" not in os.environ
    finally:
        hook.uninstall()
    assert "PRONGHORN" not in os.environ and os.environ["PRONGHORN_MIN_AGREEMENT"] == "0.5"


COUNT_IN_CHILDREN = """
import multiprocessing, os, time
from pronghorn import hook
from pronghorn.hook.core import HOOK

def work(number):
    HOOK.ledger.record("keras", "net", "predict", "cpu", number, 0.0)
    time.sleep(0.2)

if __name__ == "__main__":
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        child = context.Process(target=work, args=(10,))
        child.start(); child.join()
        with context.Pool(2) as pool:   # ended from outside
            pool.map(work, [100, 100], chunksize=1)
    work(1)
    report = hook.report()
    print(sum(row.rows for row in report.rows), report.processes > 3)
"""


def test_children_are_counted(tmp_path):
    program = tmp_path / "children.py"
    program.write_text(COUNT_IN_CHILDREN, encoding="utf-8")
    done = python("-m", "pronghorn", str(program))
    assert done.stdout == "421 True\n", done.stderr


def test_the_report_is_written_whole(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("from pronghorn.hook.core import HOOK\n"
                       "HOOK.ledger.record('keras', 'net', 'predict', 'cpu', 7, 0.5)\n",
                       encoding="utf-8")
    path = tmp_path / "report.json"
    assert python("-m", "pronghorn", "--report", str(path), str(program)).returncode == 0
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["schema"] == "pronghorn-hook-report-1" and report["rows"][0]["rows"] == 7
    assert not list(tmp_path.glob("*.part"))


def test_children_after_uninstall_count_for_themselves():
    """Or a program that one of them hooks would leave its report to a process that asks for none."""
    program = ("import os, pronghorn; pronghorn.install(); folder = os.environ['PRONGHORN_REPORT_FOLDER'];"
               "pronghorn.uninstall(); assert not [v for v in os.environ if v.startswith('PRONGHORN')];"
               "pronghorn.install(); assert os.environ['PRONGHORN_REPORT_FOLDER'] == folder")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PRONGHORN")}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
