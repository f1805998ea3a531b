"""Keras' `utils.data_utils`: downloads, and data sets read by workers."""

from torchkeras.utils.archives import ArchiveError, extract_archive
from torchkeras.utils.download import get_file, validate_file
from torchkeras.utils.enqueuers import GeneratorEnqueuer, OrderedEnqueuer, SequenceEnqueuer
from torchkeras.utils.sequence import Sequence

__all__ = [
    "ArchiveError",
    "GeneratorEnqueuer",
    "OrderedEnqueuer",
    "Sequence",
    "SequenceEnqueuer",
    "extract_archive",
    "get_file",
    "validate_file",
]
