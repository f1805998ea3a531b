"""Errors of reading files: each is an OSError and a ValueError, so that either `except` clause of a Keras program catches it."""

from __future__ import annotations


class FileError(OSError, ValueError):
    """A file cannot be read as what it should be."""


class MissingFileError(FileError, FileNotFoundError):
    """There is no such file."""


class FolderError(FileError, IsADirectoryError):
    """The path leads to a folder where a file is needed."""


class NoPermissionError(FileError, PermissionError):
    """The file may not be read by this user."""


class DamagedFileError(FileError):
    """The file is cut short, is damaged or is of another kind."""


class ContentError(FileError):
    """The file is sound but does not hold what was asked for: a name, a shape or a type."""


class UnsafeFileError(FileError):
    """The file asks for something that no genuine model file needs; it was refused before anything was read or run."""


class LimitError(UnsafeFileError):
    """The file asks for more memory or time than the limits allow."""


class ConfigError(ValueError):
    """A config is not of the form that a model, layer or function has."""


class UnsafeConfigError(ConfigError):
    """A config asks to run code that came with it, or to reach outside the library's own objects."""
