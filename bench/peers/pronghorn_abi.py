# SPDX-License-Identifier: Apache-2.0
"""The few calls of the C ABI that a comparison needs, through ctypes."""
import ctypes

import numpy as np


_DONE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


class _SessionOptions(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("device", ctypes.c_char_p),
                ("threads", ctypes.c_int32)]


class _DeviceInfo(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("name", ctypes.c_char * 32),
                ("description", ctypes.c_char * 128), ("isa", ctypes.c_char * 32),
                ("cores", ctypes.c_int32), ("memory_bytes", ctypes.c_int64),
                ("clock_hz", ctypes.c_double)]


class Session:
    """A model file compiled for a device; run() takes u8 NHWC RGB pixels."""

    def __init__(self, library, model, classes, device=None, threads=0):
        self._lib = ctypes.CDLL(library)
        self._lib.ph_last_error.restype = ctypes.c_char_p
        self._lib.ph_version.restype = ctypes.c_char_p
        self._classes = classes
        self._model = ctypes.c_void_p()
        self._session = ctypes.c_void_p()
        self._check(self._lib.ph_model_load(str(model).encode(), ctypes.byref(self._model)))
        options = _SessionOptions(ctypes.sizeof(_SessionOptions),
                                  device.encode() if device else None, threads)
        self._check(self._lib.ph_session_create(self._model, ctypes.byref(options),
                                                ctypes.byref(self._session)))

    def _check(self, status):
        if status != 0:
            raise RuntimeError(self._lib.ph_last_error().decode())

    @property
    def version(self):
        return self._lib.ph_version().decode()

    @property
    def isa(self):
        info = _DeviceInfo(struct_size=ctypes.sizeof(_DeviceInfo))
        self._check(self._lib.ph_session_device(self._session, ctypes.byref(info)))
        return info.isa.decode()

    def run(self, pixels):
        assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
        outputs = np.empty((pixels.shape[0], self._classes), np.float32)
        self._check(self._lib.ph_session_run(
            self._session, pixels.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(pixels.shape[0]), outputs.ctypes.data_as(ctypes.c_void_p)))
        return outputs

    def submit(self, pixels, done):
        """Queues one image; done(message or None) is called on a thread of the session. What is returned
        has to live until then."""
        assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
        outputs = np.empty((pixels.shape[0], self._classes), np.float32)
        ended = _DONE(lambda _, status, message: done(message.decode() if status else None))
        self._check(self._lib.ph_session_submit(
            self._session, pixels.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(pixels.shape[0]),
            outputs.ctypes.data_as(ctypes.c_void_p), ended, None))
        return pixels, outputs, ended
