# SPDX-License-Identifier: Apache-2.0
"""What Pronghorn raises: each class is an `Error` and the built-in exception of its meaning."""


class Error(Exception):
    """Every error of Pronghorn. The message names the file, node or argument and what is accepted."""


class InvalidArgument(Error, ValueError):
    """An argument is outside what the function accepts."""


class WrongType(Error, TypeError):
    """An argument has a type or dtype that is not accepted."""


class NotFound(Error, FileNotFoundError):
    """A file, device or name does not exist."""


class Unsupported(Error, NotImplementedError):
    """Well-formed, but not something Pronghorn does."""


class Corrupt(Error, ValueError):
    """A file or stream breaks its own format."""


class IoError(Error, OSError):
    """Reading or writing failed."""


class OutOfMemory(Error, MemoryError):
    """An allocation failed or a limit would be passed."""


class Unavailable(Error, RuntimeError):
    """A device, a network or a session of another process cannot be used."""


class Cancelled(Error, RuntimeError):
    """A callback asked to stop."""


class Internal(Error, RuntimeError):
    """A mistake of Pronghorn's own; please report it."""
