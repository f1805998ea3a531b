"""tf.keras' `callbacks.experimental`."""

from torchkeras.callbacks.backup_and_restore import BackupAndRestore

__all__ = ["BackupAndRestore"]
