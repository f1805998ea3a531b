"""Raw sequences, texts and images to arrays."""

from torchkeras.preprocessing import image, sequence, text

__all__ = ["image", "sequence", "text"]
