"""Raw sequences, texts and images to arrays."""
