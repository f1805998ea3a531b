"""Tools around models: data feeding, downloads, names to objects, the progress bar."""
