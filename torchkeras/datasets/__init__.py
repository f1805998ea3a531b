"""Small data sets: `digits` ships with the package, the others are taken from Keras' cache folder or downloaded into it."""

from torchkeras.datasets import boston_housing, cifar10, cifar100, digits, fashion_mnist, imdb, mnist, reuters

__all__ = ["boston_housing", "cifar10", "cifar100", "digits", "fashion_mnist", "imdb", "mnist", "reuters"]
