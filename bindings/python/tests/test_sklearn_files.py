# SPDX-License-Identifier: Apache-2.0
"""Models of `pronghorn fit` in scikit-learn, and tables for it from Parquet."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.9")
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB, MultinomialNB

import pronghorn.sklearn as ours
from pronghorn import errors

X, Y = make_blobs(300, 5, centers=3, random_state=7)


def written(tmp_path, **keys):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"format": "pronghorn-ml", "version": 1, "n_features": 5, **keys}))
    return path


def fitted(name):
    """An estimator, what a model file says of it, and its class."""
    if name == "kmeans":
        m = KMeans(3, n_init=1, random_state=1).fit(X)
        return m, {"cluster_centers": m.cluster_centers_.tolist()}
    classes = {"classes": [0.0, 1.0, 2.0]}
    if name == "logistic_regression":
        m = LogisticRegression().fit(X, Y)
        return m, {**classes, "coef": m.coef_.tolist(), "intercept": m.intercept_.tolist()}
    if name == "gaussian_nb":
        m = GaussianNB().fit(X, Y)
        return m, {**classes, "theta": m.theta_.tolist(), "var": m.var_.tolist(),
                   "class_log_prior": np.log(m.class_prior_).tolist()}
    m = MultinomialNB().fit(X - X.min(), Y)
    return m, {**classes, "feature_log_prob": m.feature_log_prob_.tolist(),
               "class_log_prior": m.class_log_prior_.tolist()}


@pytest.mark.parametrize("name", ["kmeans", "logistic_regression", "gaussian_nb", "multinomial_nb"])
@pytest.mark.parametrize("mine", [False, True])
def test_models(tmp_path, name, mine):
    model, keys = fitted(name)
    loaded = ours.load_model(written(tmp_path, estimator=name, **keys), ours=mine)
    assert isinstance(loaded, type(model)) and (type(loaded) is type(model)) != mine
    x = X - X.min() if name == "multinomial_nb" else X
    assert (loaded.predict(x) == model.predict(x)).all()
    if hasattr(model, "predict_proba"):
        assert np.allclose(loaded.predict_proba(x), model.predict_proba(x), rtol=1e-9, atol=1e-12)


def test_two_classes_and_names(tmp_path):
    model = LogisticRegression().fit(X, Y > 0)
    loaded = ours.load_model(written(
        tmp_path, estimator="logistic_regression", coef=model.coef_.tolist(), classes=[0, 1],
        intercept=model.intercept_.tolist(), feature_names=list("abcde")))
    assert list(loaded.feature_names_in_) == list("abcde")
    assert (loaded.predict(X) == (Y > 0)).mean() > 0.9


@pytest.mark.parametrize("keys, what", [
    ({"estimator": "kmeans", "cluster_centers": [[1, 2]]}, "cluster_centers"),
    ({"estimator": "kmeans"}, "cluster_centers"),
    ({"estimator": "svm"}, "svm"),
    ({"estimator": "gaussian_nb", "theta": [[0] * 5], "var": [[0] * 5], "classes": [0],
      "class_log_prior": [0]}, "var"),
    ({"estimator": "kmeans", "version": 9}, "version"),
    ({"estimator": "kmeans", "format": "x"}, "format"),
])
def test_bad_models(tmp_path, keys, what):
    path = written(tmp_path, **keys)
    with pytest.raises(errors.Error, match=what) as caught:
        ours.load_model(path)
    assert str(path) in str(caught.value)
    path.write_text("{")
    with pytest.raises(errors.Corrupt, match="model.json"):
        ours.load_model(path)


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    source, target = tmp_path / "x.parquet", tmp_path / "x.npy"
    table = pyarrow.table({f"c{j}": X[:, j] for j in range(5)} | {"name": ["a"] * len(X)})
    pyarrow.parquet.write_table(table, source, row_group_size=70)
    command = [sys.executable, "-m", "pronghorn.sklearn", "to-npy", str(source), str(target)]
    done = subprocess.run([*command, "--columns", "c4,c0"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (np.load(target) == X[:, [4, 0]].astype(np.float32)).all()
    target.unlink()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "'name'" in done.stderr and "x.parquet" in done.stderr
    source.write_bytes(source.read_bytes()[:200])
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "x.parquet" in done.stderr
    assert list(tmp_path.iterdir()) == [source]  # nothing half written


def test_parquet_keeps_digits_and_names(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.feather

    table = pyarrow.table({"a": np.array([1, 70000], np.int32), "b": np.array([2, 3], np.int16)})
    pyarrow.feather.write_feather(table, tmp_path / "x.feather")
    for columns, dtype in ((None, np.float64), (["b"], np.float32)):
        ours.to_npy(tmp_path / "x.feather", tmp_path / "x.npy", dtype=None, columns=columns,
                    names=tmp_path / "names.json")
        assert np.load(tmp_path / "x.npy").dtype == dtype
        assert json.loads((tmp_path / "names.json").read_text()) == (columns or ["a", "b"])


def test_the_program_fits_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    program = os.environ.get("PRONGHORN_PROGRAM") or shutil.which("pronghorn")
    if program is None or not pathlib.Path(program).exists():
        pytest.skip("the program pronghorn is not in PATH")
    pyarrow.parquet.write_table(pyarrow.table({f"c{j}": X[:, j] for j in range(5)}),
                                tmp_path / "x.parquet")
    np.save(tmp_path / "x.npy", X)
    environment = os.environ | {"PRONGHORN_PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
    for kind in ("npy", "parquet"):
        command = [program, "fit", "kmeans", f"x.{kind}", "-k", "3", "--out", f"{kind}.json"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    models = [json.loads((tmp_path / f"{kind}.json").read_text()) for kind in ("npy", "parquet")]
    assert models[0]["cluster_centers"] == models[1]["cluster_centers"]
    assert models[1]["feature_names"] == [f"c{j}" for j in range(5)]
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:200])
    done = subprocess.run([*command[:-1], "bad.json"], cwd=tmp_path, env=environment,
                          capture_output=True, text=True)
    assert done.returncode != 0 and "x.parquet" in done.stderr
    left = {"x.npy", "x.parquet", "npy.json", "parquet.json"}
    assert {path.name for path in tmp_path.iterdir()} == left  # nothing half written


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(errors.Unavailable, match="pyarrow"):
        ours.to_npy(tmp_path / "x.parquet", tmp_path / "x.npy")
