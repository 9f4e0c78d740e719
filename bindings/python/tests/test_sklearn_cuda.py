# SPDX-License-Identifier: Apache-2.0
"""pronghorn.sklearn, a program under the hook, and the program `pronghorn` with the device "cuda".
Skipped, with the reason, where there is no GPU."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9")

import scipy.sparse as sp  # noqa: E402
from sklearn import cluster, linear_model, naive_bayes  # noqa: E402
from sklearn.datasets import make_blobs, make_classification  # noqa: E402

import pronghorn  # noqa: E402
from pronghorn import errors, hook  # noqa: E402
from pronghorn import sklearn as ours  # noqa: E402

if not any(device.name.startswith("cuda") for device in pronghorn.devices()):
    pytest.skip("no NVIDIA GPU, or a library without the device cuda", allow_module_level=True)


@pytest.fixture(autouse=True)
def on_the_gpu():
    # scikit-learn's own classes stay what they are, to compare with.
    pronghorn.install(device="cuda", frameworks="keras")
    hook.clear_report()
    yield
    pronghorn.uninstall()


def ran_on_the_gpu() -> bool:
    rows = pronghorn.report().rows
    return bool(rows) and all(row.accelerated and row.where.startswith("cuda") for row in rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_kmeans(dtype, order):
    x = np.array(make_blobs(5000, 12, centers=9, cluster_std=2.0, random_state=3)[0], dtype, order=order)
    mine = ours.KMeans(9, init=x[:9], n_init=1).fit(x)
    labels, distances = mine.predict(x), mine.transform(x[:50])
    assert ran_on_the_gpu()
    stock = cluster.KMeans(9, init=x[:9].astype(np.float64), n_init=1).fit(x.astype(np.float64))
    assert (mine.labels_ != stock.labels_).sum() <= (0 if dtype == np.float64 else 5)
    assert (labels == mine.labels_).all()
    assert mine.inertia_ == pytest.approx(stock.inertia_, rel=1e-5)
    np.testing.assert_allclose(distances, stock.transform(x[:50].astype(np.float64)), rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 4, 20])
def test_logistic_regression(dtype, classes):
    x, y = make_classification(6000, 30, n_informative=12, n_classes=classes, random_state=5)
    x = x.astype(dtype)
    mine = ours.LogisticRegression(tol=1e-5, max_iter=500).fit(x, y)
    proba = mine.predict_proba(x)
    assert ran_on_the_gpu()
    stock = linear_model.LogisticRegression(tol=1e-7, max_iter=5000).fit(x.astype(np.float64), y)
    np.testing.assert_allclose(proba, stock.predict_proba(x.astype(np.float64)), atol=2e-3)
    assert (mine.predict(x) == stock.predict(x)).mean() > 0.998


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [3, 16, 17, 70])
def test_gaussian_nb(dtype, classes):
    x, y = make_blobs(9000, 21, centers=classes, cluster_std=3.0, random_state=1)
    x = x.astype(dtype)
    mine = ours.GaussianNB().fit(x, y)
    labels, logs = mine.predict(x), mine.predict_log_proba(x)
    assert ran_on_the_gpu()
    stock = naive_bayes.GaussianNB().fit(x.astype(np.float64), y)
    close = 1e-11 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(mine.theta_, stock.theta_, rtol=close, atol=close)
    np.testing.assert_allclose(mine.var_, stock.var_, rtol=close)
    assert (labels == stock.predict(x.astype(np.float64))).mean() >= (1 if dtype == np.float64 else 0.9995)
    if dtype == np.float64:
        np.testing.assert_allclose(logs, stock.predict_log_proba(x), rtol=1e-9, atol=1e-9)


def test_csr_stays_with_scikit_learn_and_says_why():
    x, y = make_classification(300, 8, random_state=2)
    ours.LogisticRegression().fit(sp.csr_array(x), y)
    row = pronghorn.report().rows[0]
    assert not row.accelerated and "sparse" in str(pronghorn.report())


def test_a_second_gpu_that_is_not_there_is_refused():
    count = sum(device.name.startswith("cuda") for device in pronghorn.devices())
    pronghorn.install(device=f"cuda:{count + 9}", frameworks="keras", fallback="forbid")
    with pytest.raises(errors.Error, match="cuda"):
        ours.KMeans(2).fit(np.eye(4))


PROGRAM = """
import numpy as np
from sklearn.naive_bayes import GaussianNB
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.datasets import make_classification
x, y = make_classification(2000, 10, n_informative=5, n_classes=3, random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-7)).fit(x, y)
print(model.score(x, y), GaussianNB().fit(x, y).score(x, y))
"""


def test_a_program_under_the_hook(tmp_path):
    pronghorn.uninstall()  # child processes would do as this one
    (tmp_path / "program.py").write_text(PROGRAM)

    def output(*command):
        done = subprocess.run([sys.executable, *command, "program.py"], cwd=tmp_path,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    hooked = output("-m", "pronghorn", "--device", "cuda", "--report", "report.json")
    assert hooked == output()
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert len(rows) >= 4 and all(row["where"].startswith("cuda") for row in rows)


@pytest.mark.parametrize("estimator, flags", [
    ("kmeans", ["-k", "5", "--seed", "3"]),
    ("logistic_regression", ["--labels", "y.npy", "--tol", "1e-6"]),
    ("gaussian_nb", ["--labels", "y.npy"]),
])
def test_the_command_line(tmp_path, estimator, flags):
    program = os.environ.get("PRONGHORN_PROGRAM") or shutil.which("pronghorn")
    if program is None or not pathlib.Path(program).exists():
        pytest.skip("the program pronghorn is not in PATH")
    x, y = make_blobs(4000, 10, centers=5, cluster_std=4.0, random_state=4)
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    np.save(tmp_path / "y.npy", y)
    labels = {}
    for device in ("cpu", "cuda"):
        for command in (["fit", estimator, "x.npy", *flags, "--out", f"{device}.json"],
                        ["predict", f"{device}.json", "x.npy", "--out", f"{device}.npy"]):
            done = subprocess.run([program, *command, "--device", device], cwd=tmp_path,
                                  capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        labels[device] = np.load(tmp_path / f"{device}.npy")
    assert (labels["cpu"] == labels["cuda"]).mean() > 0.999
