# SPDX-License-Identifier: Apache-2.0
"""Estimators over the C ABI (pronghorn/ml.h) through ctypes, with the names that scikit-learn gives
its own: what a comparison needs where the Python package is not installed. Dense arrays in C order.
"""
import ctypes

import numpy as np

LIBRARY = None  # set by load()
THREADS = 0
_SIZE, _P, _I32, _I64, _F64 = (ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64,
                               ctypes.c_double)


def _structure(name, *fields):
    return type(name, (ctypes.Structure,), {"_fields_": [("struct_size", _SIZE), *fields]})


_Matrix = _structure("_Matrix", ("data", _P), ("rows", _I64), ("cols", _I64), ("row_stride", _I64),
                     ("col_stride", _I64), ("indices", _P), ("indptr", _P), ("dtype", _I32),
                     ("index_dtype", _I32))
_Run = _structure("_Run", ("device", ctypes.c_char_p), ("threads", _I32), ("progress", _P), ("user", _P))
_KMeansOptions = _structure("_KMeansOptions", ("clusters", _I32), ("max_iter", _I32), ("tol", _F64),
                            ("algorithm", ctypes.c_char_p), ("init", ctypes.c_char_p),
                            ("seed", ctypes.c_uint64), ("n_init", _I32))
_KMeansResult = _structure("_KMeansResult", ("inertia", _F64), ("n_iter", _I32), ("converged", _I32),
                           ("distinct", _I32))
_LogregOptions = _structure("_LogregOptions", ("classes", _I32), ("multinomial", _I32),
                            ("no_intercept", _I32), ("warm_start", _I32), ("c", _F64),
                            ("l1_ratio", _F64), ("tol", _F64), ("max_iter", _I32),
                            ("solver", ctypes.c_char_p))
_LogregResult = _structure("_LogregResult", ("objective", _F64), ("gradient", _F64), ("n_iter", _I32),
                           ("passes", _I32), ("converged", _I32))
_DeviceInfo = _structure("_DeviceInfo", ("name", ctypes.c_char * 32),
                         ("description", ctypes.c_char * 128), ("isa", ctypes.c_char * 32),
                         ("cores", _I32), ("memory_bytes", _I64), ("clock_hz", _F64))
_LABEL, _PROBA = 3, 2


def load(path: str, threads: int = 0) -> None:
    global LIBRARY, THREADS
    LIBRARY, THREADS = ctypes.CDLL(path), threads
    LIBRARY.ph_last_error.restype = ctypes.c_char_p
    LIBRARY.ph_version.restype = ctypes.c_char_p


def version() -> str:
    return LIBRARY.ph_version().decode()


def cpu() -> tuple[str, str, int]:
    """What the device `cpu` is: description, instruction set, cores."""
    info, count = _filled(_DeviceInfo), _I32()
    _call("ph_device_count", ctypes.byref(count))
    for index in range(count.value):
        _call("ph_device_get", _I32(index), ctypes.byref(info))
        if info.name == b"cpu":
            return info.description.decode(), info.isa.decode(), info.cores
    raise RuntimeError("the library has no device cpu")


def _call(name, *arguments):
    if getattr(LIBRARY, name)(*arguments) != 0:
        raise RuntimeError(f"{name}: {LIBRARY.ph_last_error().decode()}")


def _filled(kind, **values):
    return kind(struct_size=ctypes.sizeof(kind), **values)


def _matrix(x):
    if x.dtype not in (np.float32, np.float64) or not x.flags.c_contiguous:
        raise TypeError("a matrix must be float32 or float64 and in C order")
    return _filled(_Matrix, data=x.ctypes.data, rows=x.shape[0], cols=x.shape[1],
                   row_stride=x.shape[1], col_stride=1, dtype=1 if x.dtype == np.float32 else 2)


def _run():
    return ctypes.byref(_filled(_Run, threads=THREADS))


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def _check(x):
    _call("ph_matrix_check", ctypes.byref(_matrix(x)), _I32(1), _run())


def _encoded(y):
    low, high = int(y.min()), int(y.max())
    if y.dtype.kind not in "iu" or high - low > 1 << 16:
        return np.unique(y, return_inverse=True)
    if low == 0 and (np.bincount(y) > 0).all():
        return np.arange(high + 1), y.astype(np.int32, copy=False)
    seen = np.zeros(high - low + 1, bool)
    seen[y - low] = True
    table = np.cumsum(seen, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(seen) + low, table[y - low]


class KMeans:
    def __init__(self, n_clusters, init="k-means++", n_init=1, max_iter=300, tol=1e-4, random_state=0):
        self.settings = n_clusters, init, n_init, max_iter, tol, random_state

    def fit(self, x, y=None):
        clusters, init, n_init, max_iter, tol, seed = self.settings
        _check(x)
        given = None if isinstance(init, str) else np.ascontiguousarray(init, x.dtype)
        options = _filled(_KMeansOptions, clusters=clusters, max_iter=max_iter, tol=tol, seed=seed,
                          n_init=n_init, init=init.encode() if given is None else None)
        result = _filled(_KMeansResult)
        self.cluster_centers_ = np.empty((clusters, x.shape[1]), x.dtype)
        self.labels_ = np.empty(len(x), np.int32)
        _call("ph_kmeans_fit", ctypes.byref(_matrix(x)), None, None if given is None else _pointer(given),
              ctypes.byref(options), _pointer(self.cluster_centers_), _pointer(self.labels_),
              ctypes.byref(result), _run())
        self.inertia_, self.n_iter_ = result.inertia, result.n_iter
        return self

    def predict(self, x):
        labels = np.empty(len(x), np.int32)
        _call("ph_kmeans_predict", ctypes.byref(_matrix(x)), None, _pointer(self.cluster_centers_),
              _I32(len(self.cluster_centers_)), _pointer(labels), None, _run())
        return labels


class LogisticRegression:
    def __init__(self, C=1.0, l1_ratio=0.0, tol=1e-4, max_iter=100, solver="auto"):
        self.settings = C, l1_ratio, tol, max_iter, {"lbfgs": "auto"}.get(solver, solver)

    def fit(self, x, y):
        c, l1_ratio, tol, max_iter, solver = self.settings
        self.classes_, codes = _encoded(np.asarray(y))
        _check(x)
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        self.coef_, self.intercept_ = np.zeros((outputs, x.shape[1])), np.zeros(outputs)
        options = _filled(_LogregOptions, classes=len(self.classes_), c=c, l1_ratio=l1_ratio, tol=tol,
                          max_iter=max_iter, solver=solver.encode())
        result = _filled(_LogregResult)
        codes = np.ascontiguousarray(codes, np.int32)
        _call("ph_logreg_fit", ctypes.byref(_matrix(x)), _pointer(codes), None, ctypes.byref(options),
              _pointer(self.coef_), _pointer(self.intercept_), ctypes.byref(result), _run())
        self.n_iter_ = [result.n_iter]
        return self

    def predict(self, x):
        _check(x)
        labels = np.empty(len(x), np.int32)
        _call("ph_linear_predict", ctypes.byref(_matrix(x)), _pointer(self.coef_),
              _pointer(self.intercept_), _I32(len(self.coef_)), _pointer(labels), _run())
        return self.classes_[labels]

    def score(self, x, y):
        return float((self.predict(x) == y).mean())


class GaussianNB:
    def __init__(self, var_smoothing=1e-9):
        self.var_smoothing = var_smoothing

    def fit(self, x, y):
        self.classes_, codes = _encoded(np.asarray(y))
        classes, codes = len(self.classes_), np.ascontiguousarray(codes, np.int32)
        self.class_count_ = np.zeros(classes)
        self.theta_, self.var_ = np.zeros((2, classes, x.shape[1]))
        _call("ph_gaussian_nb_fit", ctypes.byref(_matrix(x)), _pointer(codes), None, _I32(classes),
              _pointer(self.class_count_), _pointer(self.theta_), _pointer(self.var_), _run())
        if not np.isfinite(self.var_).all():
            raise ValueError("values that are not finite")
        share = (self.class_count_ / self.class_count_.sum())[:, None]
        centre = (share * self.theta_).sum(axis=0)
        whole = (share * (self.var_ + (self.theta_ - centre) ** 2)).sum(axis=0)
        self.var_ += self.var_smoothing * whole.max()
        return self

    def _predict(self, x, what, out):
        _check(x)
        prior = np.log(self.class_count_ / self.class_count_.sum())
        _call("ph_gaussian_nb_predict", ctypes.byref(_matrix(x)), _pointer(prior),
              _pointer(self.theta_), _pointer(self.var_), _I32(len(prior)), _I32(what), _pointer(out),
              _run())
        return out

    def predict(self, x):
        return self.classes_[self._predict(x, _LABEL, np.empty(len(x), np.int32))]

    def predict_proba(self, x):
        return self._predict(x, _PROBA, np.empty((len(x), len(self.classes_))))
