# SPDX-License-Identifier: Apache-2.0
"""A scikit-learn program under the hook: the same answers, in this process and in joblib's workers."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("sklearn", minversion="1.9")

PROGRAM = """if True:
    import json, sys
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = make_classification(600, 10, n_informative=5, n_classes=3, random_state=0)
    if __name__ == "__main__":
        search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(tol=1e-7)),
                              {"logisticregression__C": [0.1, 1.0]}, n_jobs=2, cv=3).fit(x, y)
        path = LogisticRegressionCV(Cs=[0.1, 1.0], cv=3, l1_ratios=(0.0,), scoring="accuracy",
                                    use_legacy_attributes=False, tol=1e-7).fit(x, y)
        print(json.dumps({
            "search": [search.best_params_, round(search.best_score_, 9)],
            "bayes": cross_val_score(GaussianNB(), x, y, n_jobs=2, cv=3).round(9).tolist(),
            "clusters": KMeans(4, random_state=0).fit(x).labels_.tolist(),
            "path": [float(path.C_), round(float(path.scores_.mean()), 9)],
            "classes": [type(search.best_estimator_[-1]).__module__],
        }))
"""


def output(command, folder) -> str:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    result = subprocess.run([sys.executable, *command, str(program)], capture_output=True,
                            text=True, cwd=folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_program_gives_the_same_answers(tmp_path):
    report = tmp_path / "report.json"
    hooked = output(["-m", "pronghorn", "--report", str(report)], tmp_path)
    assert hooked == output([], tmp_path)
    assert json.loads(hooked)["classes"] == ["sklearn.linear_model._logistic"]
    content = json.loads(report.read_text())
    calls = {(row["object"], row["call"]): row["calls"] for row in content["rows"]}
    assert calls["LogisticRegression", "fit"] == 7  # six in workers, one for the best parameters
    assert calls["GaussianNB", "fit"] == 3
    assert calls["LogisticRegressionCV", "fit of a path"] >= 3
    assert content["processes"] == 3


def test_uninstall_gives_everything_back(tmp_path):
    program = """if True:
        from sklearn import cluster, linear_model, naive_bayes
        owners = [cluster.KMeans, cluster.MiniBatchKMeans, linear_model.LogisticRegression,
                  naive_bayes.GaussianNB, naive_bayes.MultinomialNB, linear_model._logistic]
        before = [dict(vars(owner)) for owner in owners]
        import pronghorn
        pronghorn.install(frameworks="sklearn")
        assert all(dict(vars(o)) != b for o, b in zip(owners, before))
        pronghorn.uninstall()
        assert all(dict(vars(o)) == b for o, b in zip(owners, before))
        print("given back")
    """
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                            cwd=tmp_path)
    assert result.stdout == "given back\n", result.stderr
