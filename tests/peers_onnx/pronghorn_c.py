# SPDX-License-Identifier: Apache-2.0
"""The few functions of the C ABI that the judge calls, through ctypes."""

import ctypes as c

import numpy as np


class ModelInfo(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("name", c.c_char_p), ("quantized", c.c_int32),
                ("input_height", c.c_int32), ("input_width", c.c_int32),
                ("input_channels", c.c_int32), ("input_is_u8", c.c_int32), ("classes", c.c_int64),
                ("macs", c.c_int64), ("parameter_bytes", c.c_int64), ("nodes", c.c_int32),
                ("resize", c.c_char_p), ("preprocess", c.c_char_p)]


class SessionOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("device", c.c_char_p), ("threads", c.c_int32)]


class Error(Exception):
    pass


class Library:
    def __init__(self, path):
        self.lib = c.CDLL(path)
        self.lib.ph_last_error.restype = c.c_char_p
        for name in ("ph_model_free", "ph_session_free"):
            getattr(self.lib, name).argtypes = [c.c_void_p]
            getattr(self.lib, name).restype = None

    def check(self, status):
        if status != 0:
            raise Error(self.lib.ph_last_error().decode())

    def load(self, path):
        return Model(self, path)


class Model:
    def __init__(self, library, path):
        self.library = library
        self.handle = c.c_void_p()
        library.check(library.lib.ph_model_load(path.encode(), c.byref(self.handle)))
        self.info = ModelInfo(struct_size=c.sizeof(ModelInfo))
        library.check(library.lib.ph_model_get_info(self.handle, c.byref(self.info)))

    def __del__(self):
        self.library.lib.ph_model_free(self.handle)

    def save(self, path):
        self.library.check(self.library.lib.ph_model_save(self.handle, path.encode()))

    def run(self, nchw, device="cpu", threads=0):
        """nchw: [batch, c, h, w], float32; or [batch, h, w, 3] uint8. Gives [batch, classes]."""
        lib = self.library.lib
        options = SessionOptions(c.sizeof(SessionOptions), device.encode(), threads)
        session = c.c_void_p()
        self.library.check(lib.ph_session_create(self.handle, c.byref(options), c.byref(session)))
        try:
            batch = nchw.shape[0]
            out = np.zeros((batch, self.info.classes), np.float32)
            if nchw.dtype == np.uint8:
                data, run = np.ascontiguousarray(nchw), lib.ph_session_run
            else:
                data, run = np.ascontiguousarray(nchw.transpose(0, 2, 3, 1)), lib.ph_session_run_f32
            self.library.check(run(session, data.ctypes.data_as(c.c_void_p), c.c_int64(batch),
                                   out.ctypes.data_as(c.c_void_p)))
            return out
        finally:
            lib.ph_session_free(session)
