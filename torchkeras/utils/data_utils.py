"""Keras' `utils.data_utils`: downloads, and data sets read by workers."""

from torchkeras.utils.archives import ArchiveError, extract_archive
from torchkeras.utils.download import get_file, validate_file
from torchkeras.utils.sequence import Sequence

__all__ = ["ArchiveError", "Sequence", "extract_archive", "get_file", "validate_file"]
