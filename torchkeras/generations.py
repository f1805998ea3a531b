"""Where Keras releases differ: the one table of it, and the choice of a release.

A row is read when an object is made (`choose("gru.reset_after")`), never in a hot path. The default
is tf.keras 2.4.0; `set_keras_version` or the environment variable `TORCHKERAS_KERAS_VERSION` chooses another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

VERSIONS: Final = ("1.2.2", "2.2.4", "2.4.0")
KERAS3: Final = "3.15.1"  # of models that were read from its files: as tf.keras, but for the rows that say otherwise
ALIASES: Final = {"1": "1.2.2", "2": "2.2.4", "tf": "2.4.0", "tf.keras": "2.4.0"}


class ByGeneration:
    """Default of an argument whose value the chosen Keras release decides."""

    def __repr__(self) -> str:
        return "<by generation>"

    def __reduce__(self) -> str:
        return "BY_GENERATION"


BY_GENERATION: Final[Any] = ByGeneration()
_SAME: Final = ByGeneration()  # in the column of Keras 1: as in 2.2.4


class Row(NamedTuple):
    """One difference: its value in each release, and what it means."""

    keras2: Any
    tf_keras: Any
    meaning: str
    keras1: Any = _SAME
    keras3: Any = _SAME  # as in tf.keras


TABLE: Final[dict[str, Row]] = {
    # names
    "name.first_index": Row(1, 0, "first automatic name of a class: dense_1 or dense"),
    "name.accuracy": Row("acc", "accuracy", "name of the accuracy in logs, History and monitor"),
    "name.words": Row("parted", "parted", "words of a class in automatic names: max_pooling2d, or maxpooling2d", keras1="run together"),
    "name.functional": Row("model", "functional", "prefix of the automatic name of a functional model"),
    # initial values and penalties
    "random.source": Row("numpy", "torch", "unseeded initial values: fixed by np.random.seed, or by torch.manual_seed"),
    "initializer.normal": Row("normal", "truncated_normal", "what distribution='normal' is called", keras1="untruncated_normal"),
    "initializer.named_classes": Row(False, True, "glorot_uniform, he_normal...: functions making VarianceScaling, or classes"),
    "initializer.fans": Row("root", "length", "fans of a shape with one axis: root of its length, or the length"),
    "initializer.identity": Row("repeat", "eye", "Identity that is not square: repeated along the long side, or one diagonal"),
    "orthogonal.gain": Row(1.0, 1.0, "default gain of Orthogonal", keras1=1.1),
    "regularizer.named_classes": Row(False, True, "l1 and l2: functions making L1L2, or classes"),
    "config.functional": Row("Model", "Functional", "class name of functional models in configs"),
    "config.ragged": Row(False, True, "configs of inputs say whether they are ragged"),
    "summary.wide": Row(False, False, "summary() always has 100 columns and says what each layer is connected to", keras1=True),
    "summary.title": Row(False, True, "summary() starts with the model's name and puts inputs in brackets"),
    "config.tensors_in_kwargs": Row(False, True, "tensors given by keyword stand in a call's kwargs, or among its inputs"),
    "config.nested": Row(False, True, "configs of models give inputs and outputs in the dicts and lists that they were made of, or flat"),
    "config.always_dtype": Row(False, True, "configs of all layers have a dtype, or those with an input shape only"),
    "name.kl_divergence": Row("kullback_leibler_divergence", "kl_divergence", "name of the Kullback-Leibler divergence"),
    "name.log_cosh": Row("logcosh", "log_cosh", "name of the log-cosh loss"),
    # layers
    "mask.unsupported": Row("raise", "drop", "a mask that meets a layer which does not support masking"),
    "lstm.recurrent_activation": Row("hard_sigmoid", "sigmoid", "default gate activation of LSTM"),
    "gru.recurrent_activation": Row("hard_sigmoid", "sigmoid", "default gate activation of GRU"),
    "gru.reset_after": Row(False, True, "default of GRU: reset gate before or after the matrix product"),
    "rnn.implementation": Row(1, 2, "default of `implementation`", keras1=0),
    "rnn.gate_dropout": Row(False, True, "recurrent_dropout in LSTM and GRU always draws one mask a gate (implementation 1)"),
    "rnn.stateful_start": Row("given", "recorded", "initial_state of a stateful layer: taken, or only while the recorded state is zero"),
    "rnn.nested_states": Row(False, True, "states of stacked cells: one flat list, or grouped by cell"),
    "rnn.cell_scope": Row(False, True, "variable names of a recurrent layer have its cell's name in them"),
    "config.time_major": Row(False, True, "configs of recurrent layers have time_major"),
    "rnn.masked_output": Row("state", "output", "what a masked step puts out: the previous state or the previous output"),
    "bidirectional.zero_masked": Row(False, True, "Bidirectional with return_sequences gives zeros at masked steps"),
    "relu.supports_masking": Row(True, False, "the layer ReLU hands masks on"),
    "dropout.rate_range": Row("clip", "refuse", "a rate outside of 0..1: clipped (1 drops nothing), or refused"),
    "config.lambda_module": Row(False, True, "configs of Lambda layers say which module a function is of"),
    "batchnorm.moving_average": Row(
        "debiased", "plain", "moving statistics: zero-debiased, ignoring the initial values, or plain", keras1="biased", keras3="biased"
    ),
    "batchnorm.axis_list": Row(False, True, "configs of built layers give axis as it was given, or as a list of axes counted from the front"),
    "batchnorm.frozen_moves": Row(False, False, "BatchNormalization with trainable=False still moves its statistics", keras1=True),
    "batchnorm.frozen_is_inference": Row(False, True, "BatchNormalization with trainable=False runs in inference mode"),
    "activity.divide_by_batch": Row(False, True, "activity regularizer: sum over the batch, or divided by the batch size"),
    "layer.several_calls": Row("raise", "first", "`input` and `output` of a layer that was called several times"),
    "graph.added_layers": Row(False, True, "what model.add_loss and add_metric compute of a graph's tensors: in its layers and config, or apart"),
    "losses.call_first": Row(False, True, "order of a layer's losses: regularizers of weights first, or what its calls added"),
    "conv.batch_axes": Row(False, True, "Conv1D, Conv2D, Conv3D take inputs with several batch axes"),
    "config.conv_groups": Row(False, True, "configs of convolutions have groups, those of separable ones also unused kernel_* entries"),
    "config.local_format": Row(False, True, "configs of LocallyConnected1D have data_format, and those of 1D and 2D implementation"),
    "local1d.follows_format": Row(False, True, "LocallyConnected1D follows its data_format, or takes all inputs as channels_last"),
    "separable_conv1d.data_format": Row("channels_last", None, "default data_format of SeparableConv1D; None is the global one"),
    "upsampling.half_pixel": Row(False, True, "UpSampling2D bilinear: legacy corner alignment or half-pixel centres"),
    # losses and weights
    "loss.mask_denominator": Row("valid", "all", "loss under a mask: divided by the valid steps, or by all", keras3="valid"),
    "loss.mask_of_a_mean": Row("all", "all", "the same, of a loss object whose reduction says that it is a mean", keras3="valid"),
    "loss.weight_denominator": Row("nonzero", "batch", "weighted loss: divided by mean(weight != 0), or by the batch size"),
    "loss.class_and_sample_weight": Row("sample", "product", "class_weight beside sample_weight: ignored, or multiplied"),
    "loss.hinge_converts_labels": Row(False, True, "hinge losses turn labels 0/1 into -1/1"),
    "loss.binary_clip": Row("logit", "probability", "binary_crossentropy at 0 and 1: clips and goes back to logits, or clips and adds epsilon"),
    "loss.drops_odd_axis": Row(False, True, "a last axis of 1 that only targets or only predictions have is dropped before a loss function"),
    "loss.cosine_averaged": Row(False, False, "cosine_proximity: sum of the products, or their mean", keras1=True),
    "generator.needs_steps": Row(True, False, "a generator without a length needs a number of steps, or is read to its end"),
    "class_weight.validation_split": Row(True, False, "class weights also weight the part of the data that validation_split takes"),
    "metric.class_mode": Row("loss", "shapes", "what 'accuracy' means: told by the loss, or by the shapes of targets and predictions"),
    "metric.names": Row("own", "given", "name of a metric in logs: the function's own, or as given to compile"),
    "metric.binary_rounds": Row(True, False, "binary_accuracy compares with the rounded prediction, or with prediction > threshold"),
    "metric.top_k_averages": Row(True, False, "top_k accuracies: the batch's mean, or one value a sample"),
    "metric.cosine_is_loss": Row(True, False, "metric cosine_proximity: the loss, or its opposite"),
    "metric.keras1_functions": Row(False, False, "precision, recall, fmeasure, ... are known by name", keras1=True),
    "metric.weighted_prefix": Row("weighted_", "", "what the names of weighted_metrics begin with"),
    "metric.masked": Row(True, True, "metrics leave out masked steps", keras1=False),
    "metric.running": Row("batch_mean", "stateful", "metrics: averages of batch values, or exact over the epoch"),
    "model.metrics": Row("given", "objects", "model.metrics: what compile was given, or the metric objects"),
    "model.weights": Row("trained first", "by layer", "model.weights: what is trained stands first, or layer by layer (Keras' Network.weights)"),
    "weights.keras1_form": Row(False, False, "weights are listed by gate, kernels of convolutions in Theano's order of axes", keras1=True),
    "trainable.warns": Row(True, False, "training warns where `trainable` was changed since compile"),
    "logs.validation_first": Row(True, False, "the values of validation come first in the logs of an epoch"),
    "logs.batch": Row("batch", "running", "logs of on_batch_end: the batch's own values, or running means"),
    # architectures
    "applications.names": Row("keras2", "tf.keras", "names and details of the layers of keras.applications", keras1="keras1"),
    # data tools
    "to_categorical.flat": Row(False, False, "to_categorical gives two axes whatever the labels' shape", keras1=True),
    "tokenizer.counts_anew": Row(False, False, "Tokenizer.fit_on_* forgets the documents counted before", keras1=True),
    # backend
    "backend.batch_dot": Row("matmul", "contract", "K.batch_dot: a batch matrix product, or a product along one axis of each"),
    "backend.logical_dtype": Row("bool", "bool", "type of what K.any and K.all give", keras1="uint8"),
    "backend.moving_average": Row("debiased", "plain", "K.moving_average_update: zero-debiased, or plain", keras1="plain"),
    "backend.switch_vector": Row("rows", "last_axis", "K.switch by a vector: chooses rows, or lines up with the last axis"),
    "backend.fixed_phase": Row("everywhere", "outside", "K.set_learning_phase rules inside of layers too, or where no layer does"),
    "backend.ctc_epsilon": Row(None, None, "added to probabilities by K.ctc_*; None is epsilon()", keras1=1e-8),
    "backend.ctc_width": Row("longest", "steps", "width of what K.ctc_decode gives: the longest text, or the number of steps"),
    "backend.argument_order": Row("keras2", "keras2", "order of the arguments of K functions whose signatures Keras 2 changed", keras1="keras1"),
    "datasets.seeds_numpy": Row(True, False, "imdb, reuters and boston_housing leave numpy's global generator seeded with their seed"),
    "imdb.cuts_after_joining": Row(True, False, "imdb maxlen: applied to training and test data joined, which shifts the border between them"),
    "image.keras1": Row(False, False, "image augmentation: nearest pixels, shear in radians, statistics over channels, eps 1e-7", keras1=True),
    "image.random_centre": Row("first axes", "first axes", "random_rotation, _shear, _zoom turn about the middle of ...", keras1="image axes"),
    # callbacks
    "callbacks.first_epoch": Row(1, 1, "number of the first epoch in file names and messages of callbacks", keras1=0),
    "callbacks.full_stop": Row("", ".", "how the message about restored weights ends"),
    "checkpoint.line_break": Row("\n", "\n", "start of ModelCheckpoint's messages; where there is one, they name the best value, too", keras1=""),
    "stopping.patience": Row("reached", "reached", "EarlyStopping, ReduceLROnPlateau act once the patience is reached, or passed", keras1="passed"),
    "stopping.min_delta": Row("signed", "size", "a negative min_delta of EarlyStopping: taken as it is, or without its sign"),
    "plateau.epsilon": Row(False, False, "ReduceLROnPlateau calls its min_delta epsilon", keras1=True),
    "scheduler.takes_rate": Row(True, True, "LearningRateScheduler gives its schedule the present rate", keras1=False),
    "scheduler.text": Row("setting", "reducing", "word of LearningRateScheduler's message"),
    "callbacks.positional": Row("keras2", "tf.keras", "positional order of ModelCheckpoint's and TensorBoard's arguments", keras1="keras1"),
    "history.keeps": Row(False, True, "a History that is used again keeps the values of earlier runs"),
    "fit.stops_after": Row("batch", "epoch", "stop_training ends the training after the batch, or after the epoch", keras1="epoch"),
    "fit.stop_at_begin": Row(False, True, "stop_training set by on_train_begin counts"),
    "fit.bar_first": Row(True, False, "the progress bar runs before the user's callbacks, or after them"),
    "logs.train_end": Row("none", "epoch", "logs of on_train_end: none, or those of the last epoch"),
    "tensorboard.runs": Row("one", "two", "TensorBoard writes `val_loss` beside `loss`, or epoch_loss in train/ and validation/"),
    # progress bar
    "progbar.form": Row("keras2", "tf.keras", "text of the progress bar", keras1="keras1"),
    "progbar.epoch_of_one": Row(True, False, "fit prints `Epoch 1/1` even for one epoch"),
    "progbar.counts": Row("samples", "steps", "what the bar counts where the data are arrays"),
    "progbar.train_on": Row(True, False, "fit with validation prints how many samples it trains and validates on"),
    "progbar.test_values": Row(False, True, "the bar of evaluate shows the loss and metrics"),
    "progbar.in_place": Row("terminal", "posix", "when the bar overwrites itself: on a terminal, on any POSIX system, always", keras1="always"),
    # optimizers
    "optimizer.rate_name": Row("lr", "learning_rate", "name of the rate in configs"),
    "optimizer.epsilon": Row(None, 1e-7, "default of epsilon; None is the global epsilon()", keras1=1e-8),
    "optimizer.sgd_always_velocity": Row(True, False, "SGD keeps a velocity even without momentum"),
    "optimizer.adam_has_amsgrad": Row(True, True, "Adam's config has amsgrad even where it is off", keras1=False),
    "optimizer.adam_always_vhat": Row(True, False, "lists of Adam's state have a place for vhat even without amsgrad", keras1=False),
    "optimizer.rate.small": Row(0.002, 0.001, "default rate of Adamax and Nadam"),
    "optimizer.rate.adagrad": Row(0.01, 0.001, "default rate of Adagrad"),
    "optimizer.rate.adadelta": Row(1.0, 0.001, "default rate of Adadelta"),
    "optimizer.adagrad_start": Row(0.0, 0.1, "what Adagrad's accumulator starts with"),
    "optimizer.clipnorm": Row("global", "each", "clipnorm: one norm over all gradients, or each variable by itself"),
    "optimizer.sparse_embeddings": Row(False, True, "Embedding gradients move the rows seen, or every row", keras3=False),
    "rmsprop.epsilon": Row("outside", "outside", "epsilon of RMSprop without momentum: outside or inside of the root", keras3="inside"),
}

_chosen: list[str] = []


def normalize_version(version: str) -> str:
    """One of `VERSIONS` for a version, a prefix of it ("2.2") or an alias ("tf.keras").

    Raises:
        ValueError: no release is meant by it.
    """
    text = ALIASES.get(str(version), str(version))
    for known in VERSIONS:
        if known == text or known.startswith(text + "."):
            return known
    raise ValueError(f"Keras version {version!r} is not known here. Choose one of {list(VERSIONS)} (2.4.0 is tf.keras).")


def keras_version() -> str:
    """The Keras release among `VERSIONS` whose defaults and meanings new objects take."""
    return "2.4.0" if release() == KERAS3 else release()


def release() -> str:
    """The release in force: `keras_version()`, or Keras 3 while a file of it is read."""
    if not _chosen:
        _chosen.append(normalize_version(os.environ.get("TORCHKERAS_KERAS_VERSION", "2.4.0")))
    return _chosen[-1]


def set_keras_version(version: str) -> None:
    """Choose the Keras release that new objects follow: "1.2.2", "2.2.4" or "2.4.0" (tf.keras).

    Args:
        version: The release. Objects made before keep what they have.

    Raises:
        ValueError: an unknown release.
    """
    _chosen[:] = [normalize_version(version)]


@contextmanager
def using_keras_version(version: str) -> Iterator[None]:
    """Follow another Keras release inside a `with` block: one of `VERSIONS`, or `KERAS3`, whose models are read from its files."""
    release()
    _chosen.append(version if version == KERAS3 else normalize_version(version))
    try:
        yield
    finally:
        _chosen.pop()


def choose(key: str) -> Any:
    """The value of the table's row `key` in the chosen release."""
    row = TABLE[key]
    version = release()
    if version == "2.4.0":
        return row.tf_keras
    if version == KERAS3:
        return row.tf_keras if row.keras3 is _SAME else row.keras3
    if version == "1.2.2" and row.keras1 is not _SAME:
        return row.keras1
    return row.keras2


def resolve(value: Any, key: str) -> Any:
    """`value`, or the chosen release's where the caller left it `BY_GENERATION`."""
    return choose(key) if value is BY_GENERATION else value
