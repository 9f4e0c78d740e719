# SPDX-License-Identifier: Apache-2.0
"""pronghorn.sklearn against scikit-learn's own classes, in the same process."""

import subprocess
import sys

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.9")

import scipy.sparse as sp  # noqa: E402
from sklearn import cluster, linear_model, naive_bayes  # noqa: E402
from sklearn.datasets import make_blobs, make_classification  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError  # noqa: E402

import pronghorn  # noqa: E402
from pronghorn import errors, hook  # noqa: E402
from pronghorn.sklearn import (  # noqa: E402
    GaussianNB,
    KMeans,
    LogisticRegression,
    MiniBatchKMeans,
    MultinomialNB,
)

LAYOUTS = ["C", "F", "rows of a wider array", "csr"]
DTYPES = [np.float64, np.float32]


@pytest.fixture(autouse=True)
def counted():
    hook.clear_report()
    yield


def accelerated() -> bool:
    """Whether every call so far ran on Pronghorn."""
    rows = pronghorn.report().rows
    return bool(rows) and all(row.accelerated for row in rows)


def laid_out(x: np.ndarray, layout: str):
    if layout == "csr":
        return sp.csr_array(x)
    if layout == "rows of a wider array":
        wide = np.full((x.shape[0], x.shape[1] + 3), np.nan, x.dtype)
        wide[:, : x.shape[1]] = x
        return wide[:, : x.shape[1]]
    return np.array(x, order=layout)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(1000, 7, centers=5, cluster_std=3.0, random_state=3)


@pytest.fixture(scope="module")
def three_classes():
    return make_classification(900, 12, n_informative=6, n_classes=3, random_state=5)


# ---- k-means


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans_is_scikit_learns_from_the_same_centres(blobs, dtype, layout, algorithm, weighted):
    x = blobs[0].astype(dtype)
    weight = np.random.default_rng(0).uniform(0, 2, len(x)) if weighted else None
    options = dict(n_clusters=5, init=x[:5].copy(), n_init=1, algorithm=algorithm)
    ours = KMeans(**options).fit(laid_out(x, layout), sample_weight=weight)
    theirs = cluster.KMeans(**options).fit(laid_out(x, layout), sample_weight=weight)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.labels_.dtype == theirs.labels_.dtype
    assert ours.n_iter_ == theirs.n_iter_
    tolerance = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=tolerance,
                               atol=tolerance)
    assert ours.cluster_centers_.dtype == dtype
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-10 if dtype == np.float64 else 1e-5)
    seen = laid_out(x[:100], layout)
    np.testing.assert_array_equal(ours.predict(seen), theirs.predict(seen))
    np.testing.assert_allclose(ours.transform(seen), theirs.transform(seen), rtol=1e-3, atol=1e-3)
    assert ours.transform(seen).dtype == dtype
    assert ours.score(seen) == pytest.approx(theirs.score(seen), rel=1e-4)
    assert accelerated()


def last_rows(x, k, random_state):
    rows = x[-k:] + random_state.uniform(size=(k, x.shape[1]))
    return np.array(rows)


@pytest.mark.parametrize("init", ["k-means++", "random", last_rows])
@pytest.mark.parametrize("seed", [0, 1, np.random.RandomState(7)])
@pytest.mark.parametrize("sparse", [False, True])
def test_kmeans_draws_what_scikit_learn_draws(blobs, init, seed, sparse):
    x = sp.csr_array(blobs[0]) if sparse else blobs[0]
    fitted = []
    for estimator in (KMeans, cluster.KMeans):
        state = seed
        if not isinstance(seed, int):
            state = np.random.RandomState()
            state.set_state(seed.get_state())
        fitted.append(estimator(5, init=init, n_init=4, random_state=state).fit(x))
        if not isinstance(seed, int):
            fitted.append(state.random_sample())
    if not isinstance(seed, int):
        assert fitted.pop(1) == fitted.pop(2)  # the generator is where scikit-learn leaves it
    np.testing.assert_array_equal(fitted[0].labels_, fitted[1].labels_)
    assert fitted[0].n_iter_ == fitted[1].n_iter_


def test_kmeans_empty_clusters(blobs):
    x = blobs[0]
    init = np.vstack([x[:3], np.full((2, 7), 1e4)])
    ours = KMeans(5, init=init).fit(x)
    theirs = cluster.KMeans(5, init=init).fit(x)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.n_iter_ == theirs.n_iter_ and len(set(ours.labels_)) == 5


def test_kmeans_does_not_touch_its_input(blobs):
    x = blobs[0].copy()
    x.flags.writeable = False
    KMeans(5, copy_x=False, random_state=0).fit(x)
    np.testing.assert_array_equal(x, blobs[0])


def test_kmeans_far_from_the_origin(blobs):
    """Where |x|^2 - 2xc + |c|^2 has no digits left."""
    x = (blobs[0] + 3000).astype(np.float32)
    options = dict(n_clusters=5, init=x[:5].copy())
    ours, theirs = KMeans(**options).fit(x), cluster.KMeans(**options).fit(x)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_array_equal(ours.predict(x), ours.labels_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", [{}, {"tol": 1e-3}, {"init": "random", "init_size": 300},
                                     {"compute_labels": False}, {"reassignment_ratio": 0.5}])
def test_mini_batches_are_scikit_learns(blobs, weighted, options):
    x = blobs[0]
    weight = np.random.default_rng(0).uniform(0.1, 2, len(x)) if weighted else None
    options = dict(n_clusters=5, batch_size=50, random_state=4, **options)
    ours = MiniBatchKMeans(**options).fit(x, sample_weight=weight)
    theirs = cluster.MiniBatchKMeans(**options).fit(x, sample_weight=weight)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-8)
    assert (ours.n_steps_, ours.n_iter_) == (theirs.n_steps_, theirs.n_iter_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_)
    assert accelerated()


def test_mini_batches_one_by_one(blobs):
    x = blobs[0]
    ours, theirs = MiniBatchKMeans(5, random_state=0), cluster.MiniBatchKMeans(5, random_state=0)
    for start in range(0, len(x), 200):
        ours.partial_fit(x[start:start + 200])
        theirs.partial_fit(x[start:start + 200])
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-8)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert accelerated()


# ---- logistic regression


def objective(model, x, y, c=1.0, ratio=0.0, weight=None):
    """What scikit-learn minimises, over the sum of weights."""
    x = x.toarray() if sp.issparse(x) else np.asarray(x, np.float64)
    weight = np.ones(len(x)) if weight is None else weight
    coef = np.asarray(model.coef_, np.float64)
    z = x @ coef.T + np.asarray(model.intercept_, np.float64)
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    top = z.max(axis=1, keepdims=True)
    codes = np.searchsorted(model.classes_, y)
    loss = np.log(np.exp(z - top).sum(axis=1)) + top[:, 0] - z[np.arange(len(x)), codes]
    penalty = ratio * np.abs(coef).sum() + (1 - ratio) * (coef**2).sum() / 2
    return ((weight * loss).sum() + penalty / c) / weight.sum()


PENALTIES = [("l2", {}), ("none", {"C": np.inf}), ("l1", {"l1_ratio": 1.0, "solver": "saga"}),
             ("elastic net", {"l1_ratio": 0.4, "solver": "saga"})]


@pytest.mark.parametrize("penalty, options", PENALTIES, ids=[p for p, _ in PENALTIES])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_logistic_regression_reaches_the_optimum(three_classes, penalty, options, classes,
                                                 fit_intercept, weighted):
    x, y = three_classes
    y = np.minimum(y, classes - 1)
    weight = np.random.default_rng(0).uniform(0, 2, len(x)) if weighted else None
    options = dict(fit_intercept=fit_intercept, tol=1e-7, max_iter=5000, **options)
    ours = LogisticRegression(**options).fit(x, y, sample_weight=weight)
    theirs = linear_model.LogisticRegression(**options).fit(x, y, sample_weight=weight)
    measure = dict(c=options.get("C", 1.0), ratio=options.get("l1_ratio", 0.0), weight=weight)
    assert objective(ours, x, y, **measure) <= objective(theirs, x, y, **measure) * (1 + 1e-6)
    if penalty in ("l2", "elastic net"):  # where there is one optimum
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(ours.intercept_ - ours.intercept_[0],
                                   theirs.intercept_ - theirs.intercept_[0], rtol=1e-3, atol=1e-3)
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.n_iter_.shape == (1,) and ours.n_iter_.dtype == np.int32
    assert accelerated()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_layouts_and_predictions(three_classes, dtype, layout, classes):
    x, y = three_classes
    x, y = x.astype(dtype), np.array(["no", "yes", "perhaps"])[np.minimum(y, classes - 1)]
    ours = LogisticRegression().fit(laid_out(x, layout), y)
    theirs = linear_model.LogisticRegression().fit(laid_out(x, layout), y)
    assert ours.coef_.dtype == theirs.coef_.dtype == dtype
    assert objective(ours, x, y) <= objective(theirs, x, y) * (1 + 1e-6)
    model = linear_model.LogisticRegression()
    model.__dict__.update(ours.__dict__)
    seen = laid_out(x[:200], layout)
    close = dict(rtol=1e-4, atol=1e-5) if dtype == np.float32 else dict(rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(ours.predict(seen), model.predict(seen))
    for call in ("decision_function", "predict_proba", "predict_log_proba"):
        mine, stock = getattr(ours, call)(seen), getattr(model, call)(seen)
        assert mine.dtype == stock.dtype and mine.shape == stock.shape
        np.testing.assert_allclose(mine, stock, **close)
    assert accelerated()


def test_logistic_regression_class_weight_and_warm_start(three_classes):
    x, y = three_classes
    options = dict(class_weight="balanced", tol=1e-7, max_iter=1000)
    y = np.where(y == 2, 0, y)
    ours = LogisticRegression(warm_start=True, **options).fit(x, y)
    theirs = linear_model.LogisticRegression(**options).fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-5)
    assert ours.fit(x, y).n_iter_[0] <= 1


def test_logistic_regression_says_that_it_has_not_converged(three_classes):
    x, y = three_classes
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 2 iteration"):
        model = LogisticRegression(max_iter=2, tol=1e-12).fit(x * 100, y)
    assert model.n_iter_[0] == 2


# ---- naive Bayes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["C", "F", "rows of a wider array"])
@pytest.mark.parametrize("weighted", [False, True])
def test_gaussian_nb_is_scikit_learns(blobs, dtype, layout, weighted):
    x, y = blobs[0].astype(dtype), blobs[1]
    weight = np.random.default_rng(0).uniform(0, 2, len(x)) if weighted else None
    ours = GaussianNB().fit(laid_out(x, layout), y, sample_weight=weight)
    theirs = naive_bayes.GaussianNB().fit(laid_out(x, layout), y, sample_weight=weight)
    close = dict(rtol=1e-12) if dtype == np.float64 else dict(rtol=1e-4)
    for name in ("theta_", "var_", "class_count_", "class_prior_", "epsilon_"):
        mine, stock = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(mine, stock, err_msg=name, **close)
        assert np.asarray(mine).dtype == np.asarray(stock).dtype
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    theirs.__dict__.update(ours.__dict__)
    for call in ("predict_joint_log_proba", "predict_log_proba", "predict_proba"):
        mine, stock = getattr(ours, call)(x), getattr(theirs, call)(x)
        assert mine.dtype == stock.dtype
        np.testing.assert_allclose(mine, stock, rtol=1e-9 if dtype == np.float64 else 1e-3,
                                   atol=1e-12 if dtype == np.float64 else 1e-4)
    assert accelerated()


def test_gaussian_nb_partial_fit(blobs):
    x, y = blobs
    ours, theirs = GaussianNB(), naive_bayes.GaussianNB()
    for start in range(0, len(x), 300):
        rows = slice(start, start + 300)
        ours.partial_fit(x[rows], y[rows], classes=np.arange(6))
        theirs.partial_fit(x[rows], y[rows], classes=np.arange(6))
    np.testing.assert_allclose(ours.theta_, theirs.theta_, rtol=1e-12)
    np.testing.assert_allclose(ours.var_, theirs.var_, rtol=1e-10)
    assert ours.class_count_[5] == 0
    assert accelerated()


@pytest.mark.parametrize("layout", ["C", "F", "csr"])
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
@pytest.mark.parametrize("weighted", [False, True])
def test_multinomial_nb_is_scikit_learns(layout, dtype, weighted):
    rng = np.random.default_rng(2)
    x, y = rng.poisson(1.0, (500, 30)).astype(dtype), rng.integers(0, 4, 500)
    weight = rng.uniform(0, 2, 500) if weighted else None
    ours = MultinomialNB().fit(laid_out(x, layout), y, sample_weight=weight)
    theirs = naive_bayes.MultinomialNB().fit(laid_out(x, layout), y, sample_weight=weight)
    for name in ("feature_count_", "class_count_", "feature_log_prob_", "class_log_prior_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12)
    seen = laid_out(x, layout)
    np.testing.assert_array_equal(ours.predict(seen), theirs.predict(seen))
    np.testing.assert_allclose(ours.predict_proba(seen), theirs.predict_proba(seen), rtol=1e-9)
    np.testing.assert_allclose(ours.predict_log_proba(seen), theirs.predict_log_proba(seen),
                               rtol=1e-9)
    assert accelerated()


# ---- what is wrong is said as scikit-learn says it


WRONG = [
    ("NaN", lambda x, y: (np.where(x == x[3, 2], np.nan, x), y)),
    ("infinity", lambda x, y: (np.where(x == x[3, 2], np.inf, x), y)),
    ("no rows", lambda x, y: (x[:0], y[:0])),
    ("one dimension", lambda x, y: (x[0], y)),
    ("strings", lambda x, y: (np.full(x.shape, "a"), y)),
    ("complex", lambda x, y: (x * 1j, y)),
]
ESTIMATORS = [(KMeans, cluster.KMeans), (MiniBatchKMeans, cluster.MiniBatchKMeans),
              (LogisticRegression, linear_model.LogisticRegression),
              (GaussianNB, naive_bayes.GaussianNB), (MultinomialNB, naive_bayes.MultinomialNB)]


def message(call) -> tuple[type, str]:
    with pytest.raises(Exception) as caught:
        call()
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("what, change", WRONG, ids=[what for what, _ in WRONG])
@pytest.mark.parametrize("ours, theirs", ESTIMATORS, ids=[o.__name__ for o, _ in ESTIMATORS])
def test_wrong_input_raises_what_scikit_learn_raises(blobs, ours, theirs, what, change):
    x, y = change(np.abs(blobs[0]), blobs[1])
    assert message(lambda: ours().fit(x, y)) == message(lambda: theirs().fit(x, y))


@pytest.mark.parametrize("ours, theirs", ESTIMATORS, ids=[o.__name__ for o, _ in ESTIMATORS])
def test_wrong_use_raises_what_scikit_learn_raises(blobs, ours, theirs):
    x, y = np.abs(blobs[0]), blobs[1]
    assert message(lambda: ours().predict(x)) == message(lambda: theirs().predict(x))
    with pytest.raises(NotFittedError):
        ours().predict(x)
    mine, stock = ours().fit(x, y), theirs().fit(x, y)
    for wrong in (x[:, :3], np.where(x == x[0, 0], np.nan, x)):
        assert message(lambda: mine.predict(wrong)) == message(lambda: stock.predict(wrong))
    weight = np.ones(len(x) - 1)
    assert message(lambda: ours().fit(x, y, sample_weight=weight)) == message(
        lambda: theirs().fit(x, y, sample_weight=weight))


@pytest.mark.parametrize("ours, theirs, options", [
    (KMeans, cluster.KMeans, {"n_clusters": 2000}),
    (KMeans, cluster.KMeans, {"n_clusters": 0}),
    (KMeans, cluster.KMeans, {"init": np.zeros((3, 7))}),
    (KMeans, cluster.KMeans, {"algorithm": "hamerly"}),
    (MiniBatchKMeans, cluster.MiniBatchKMeans, {"n_clusters": 2000}),
    (LogisticRegression, linear_model.LogisticRegression, {"C": -1.0}),
    (LogisticRegression, linear_model.LogisticRegression, {"l1_ratio": 0.5}),
    (GaussianNB, naive_bayes.GaussianNB, {"priors": [0.5, 0.5]}),
    (GaussianNB, naive_bayes.GaussianNB, {"priors": [0.5, 0.5, 0.5, -0.5, 0]}),
    (GaussianNB, naive_bayes.GaussianNB, {"var_smoothing": -1}),
    (MultinomialNB, naive_bayes.MultinomialNB, {"alpha": -1.0}),
    (MultinomialNB, naive_bayes.MultinomialNB, {"class_prior": [1.0]}),
])
def test_wrong_options_raise_what_scikit_learn_raises(blobs, ours, theirs, options):
    x, y = np.abs(blobs[0]), blobs[1]
    assert message(lambda: ours(**options).fit(x, y)) == message(
        lambda: theirs(**options).fit(x, y))


def test_labels_that_are_wrong(blobs):
    x, y = np.abs(blobs[0]), blobs[1]
    one = np.zeros(len(x), int)
    assert message(lambda: LogisticRegression().fit(x, one)) == message(
        lambda: linear_model.LogisticRegression().fit(x, one))
    assert message(lambda: MultinomialNB().fit(-x, y)) == message(
        lambda: naive_bayes.MultinomialNB().fit(-x, y))
    for ours, theirs in ESTIMATORS[2:]:
        continuous = np.linspace(0, 1, len(x))
        assert message(lambda: ours().fit(x, continuous)) == message(
            lambda: theirs().fit(x, continuous))


# ---- what stays on scikit-learn


@pytest.mark.parametrize("estimator, reason", [
    (LogisticRegression(solver="liblinear"), "liblinear"),
    (KMeans(3, verbose=1), "verbose"),
    (KMeans(1, algorithm="elkan"), "one cluster"),
])
def test_reasons(blobs, estimator, reason):
    estimator.fit(blobs[0], blobs[1] % 2)
    (row,) = pronghorn.report().rows
    assert row.where == "original" and reason in row.reason and row.rows == 1000


def test_policy_forbid_and_warn(blobs):
    x, y = blobs[0], blobs[1] % 2
    pronghorn.install(fallback="forbid", frameworks="sklearn")
    try:
        with pytest.raises(errors.Unsupported, match="liblinear"):
            LogisticRegression(solver="liblinear").fit(x, y)
        with pytest.raises(ValueError, match="NaN"):  # wrong input is no fallback
            KMeans(3).fit(np.full_like(x, np.nan))
        pronghorn.install(fallback="warn", frameworks="sklearn")
        with pytest.warns(hook.FallbackWarning, match="liblinear"):
            LogisticRegression(solver="liblinear").fit(x, y)
    finally:
        pronghorn.uninstall()
        pronghorn.install()
        pronghorn.uninstall()


# ---- pickles


def test_pickles_load_without_pronghorn(blobs, tmp_path):
    import pickle

    x, y = np.abs(blobs[0]), blobs[1]
    for ours, theirs in ESTIMATORS:
        model = ours().fit(x, y)
        copy = pickle.loads(pickle.dumps(model))
        assert type(copy) is ours and copy.get_params() == model.get_params()
        np.testing.assert_array_equal(copy.predict(x), model.predict(x))
        np.save(tmp_path / f"{ours.__name__}.npy", model.predict(x))
        (tmp_path / f"{ours.__name__}.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "x.npy", x)
    program = """if True:
        import pathlib, pickle, sys
        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "pronghorn":
                    raise ModuleNotFoundError(name, name=name)
        sys.meta_path.insert(0, Blocked())
        import numpy as np
        folder = pathlib.Path(sys.argv[1])
        x = np.load(folder / "x.npy")
        names = sorted(folder.glob("*.pickle"))
        for name in names:
            model = pickle.loads(name.read_bytes())
            assert type(model).__module__.startswith("sklearn."), type(model)
            np.testing.assert_array_equal(model.predict(x), np.load(name.with_suffix(".npy")))
        print(len(names), "pronghorn" in sys.modules)
    """
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True,
                            text=True)
    assert result.stdout == "5 False\n", result.stderr


def test_subclasses_and_clones():
    import copy

    class Mine(KMeans):
        pass

    assert type(sklearn.clone(Mine(3))) is Mine
    assert type(copy.deepcopy(KMeans(3))) is KMeans
    assert isinstance(KMeans(3), cluster.KMeans)
    assert KMeans.__module__ == "pronghorn.sklearn"
