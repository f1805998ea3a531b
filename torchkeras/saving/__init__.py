"""Model files: HDF5, `.keras` archives, configs; read as data of strangers, written whole or not at all."""
