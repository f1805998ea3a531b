"""Convolutions, and layers that pad, crop and enlarge what convolutions work on."""

from torchkeras.layers.convolutional.conv import Conv1D, Conv2D, Conv3D
from torchkeras.layers.convolutional.cropping import Cropping1D, Cropping2D, Cropping3D
from torchkeras.layers.convolutional.depthwise import DepthwiseConv1D, DepthwiseConv2D
from torchkeras.layers.convolutional.separable import SeparableConv1D, SeparableConv2D
from torchkeras.layers.convolutional.transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from torchkeras.layers.convolutional.up_sampling import UpSampling1D, UpSampling2D, UpSampling3D
from torchkeras.layers.convolutional.zero_padding import ZeroPadding1D, ZeroPadding2D, ZeroPadding3D

Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D

__all__ = [
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]
