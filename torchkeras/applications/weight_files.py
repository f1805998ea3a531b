"""Keras' weight files for ImageNet: names, URLs and MD5 hashes, by release.

Source: Keras 1.2.2 `keras.applications`, keras_applications 1.0.8 (Keras 2.2.4), tf.keras 2.4.0 `keras.applications`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from torchkeras.utils.download import get_file

GITHUB: Final = "https://github.com/fchollet/deep-learning-models/releases/download/"
DENSENET: Final = "https://github.com/keras-team/keras-applications/releases/download/densenet/"
GOOGLE: Final = "https://storage.googleapis.com/tensorflow/keras-applications/"
ENDS: Final = ("_weights_tf_dim_ordering_tf_kernels.h5", "_weights_tf_dim_ordering_tf_kernels_notop.h5")

# model -> (folder below GITHUB, hash of the file with the top, hash of the one without); Keras 1 gave no hash for some
_KERAS2: Final[dict[str, tuple[str, str | None, str | None]]] = {
    "vgg16": (GITHUB + "v0.1/", "64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": (GITHUB + "v0.1/", "cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
    "resnet50": (GITHUB + "v0.2/", "a7b3fe01876f51b976af0dea6bc144eb", "a268eb855778b3df3c7506639542a6af"),
    "inception_v3": (GITHUB + "v0.5/", "9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"),
    "xception": (GITHUB + "v0.4/", "0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97"),
    "densenet121": (DENSENET, "9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"),
    "densenet169": (DENSENET, "d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"),
    "densenet201": (DENSENET, "1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"),
}
_KERAS1: Final = {**_KERAS2, "inception_v3": (GITHUB + "v0.2/", "fe114b3ff2ea4bf891e9353d1bbfb32f", "2f3609166de1d967d1a481094754f691")}
_TF_KERAS: Final = {
    **{
        name: (f"{GOOGLE}{'densenet' if name.startswith('densenet') else name}/", top, bare)
        for name, (_, top, bare) in _KERAS2.items()
        if name != "resnet50"
    },
    "resnet50": (GOOGLE + "resnet/", "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": (GOOGLE + "resnet/", "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": (GOOGLE + "resnet/", "100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
}
TABLES: Final = {"keras1": _KERAS1, "keras2": _KERAS2, "tf.keras": _TF_KERAS}
MOBILENET: Final = {"keras1": GITHUB + "v0.6/", "keras2": GITHUB + "v0.6/", "tf.keras": GOOGLE + "mobilenet/"}


class WeightFile(NamedTuple):
    """One file on Keras' servers.

    Args:
        name: In the folder `models` of the cache.
        folder: URL that the name is put behind.
        md5: Its hash, where Keras gives one.
    """

    name: str
    folder: str
    md5: str | None

    def fetch(self) -> str:
        """Its path on this machine, downloaded where it is not there yet.

        Raises:
            RuntimeError: it cannot be downloaded; the message says where to put a copy.
        """
        try:
            return get_file(self.name, self.folder + self.name, cache_subdir="models", md5_hash=self.md5)
        except RuntimeError as error:
            raise RuntimeError(
                f"weights='imagenet' needs {self.name}. {error} Put the file into ~/.keras/models yourself, or give weights=None "
                "(random weights) or weights='path/to/a.h5'."
            ) from error


def imagenet_file(model: str, include_top: bool, release: str) -> WeightFile:
    """The file of an architecture.

    Args:
        model: Its name in file names, such as "vgg16".
        include_top: With the classifier, or without.
        release: "keras1", "keras2" or "tf.keras".

    Raises:
        ValueError: that release offers none.
    """
    if model not in TABLES[release]:
        raise ValueError(f"There are no ImageNet weights of {model} for this release of Keras: use set_keras_version('2.4.0'), or weights=None.")
    folder, top, bare = TABLES[release][model]
    return WeightFile(model + ENDS[not include_top], folder, top if include_top else bare)


def mobilenet_file(alpha: float, rows: int, include_top: bool, release: str) -> WeightFile:
    """The file of a MobileNet of a width and an image size."""
    width = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}[alpha]
    return WeightFile(f"mobilenet_{width}_{rows}_tf{'' if include_top else '_no_top'}.h5", MOBILENET[release], None)
