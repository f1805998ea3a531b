"""Architectures for ImageNet, built of this library's layers, whose weight files are Keras' own.

Layers have the names, the order and the shapes of the chosen release (`set_keras_version`), so that its weight files load.
"""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.applications import densenet, imagenet_utils, inception_v3, mobilenet, resnet, resnet50, vgg16, vgg19, xception
from torchkeras.applications.densenet import DenseNet121, DenseNet169, DenseNet201
from torchkeras.applications.inception_v3 import InceptionV3
from torchkeras.applications.mobilenet import MobileNet
from torchkeras.applications.resnet import ResNet50, ResNet101, ResNet152
from torchkeras.applications.vgg import VGG16, VGG19
from torchkeras.applications.xception import Xception

__all__ = [
    "VGG16",
    "VGG19",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "InceptionV3",
    "MobileNet",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "Xception",
    "densenet",
    "imagenet_utils",
    "inception_v3",
    "mobilenet",
    "resnet",
    "resnet50",
    "vgg16",
    "vgg19",
    "xception",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
