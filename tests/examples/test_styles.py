"""The examples of the styles of programs: functional, siamese, custom code, and Keras mixed with torch both ways."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.examples.test_sequences import example


def test_two_halves_are_better_than_one():
    digit, even, half = example("two_inputs_two_outputs").main(epochs=5, verbose=0)
    assert digit > half + 0.05
    assert even > 0.8


def test_halves_make_up_the_image():
    program = example("two_inputs_two_outputs")
    (x, y), _ = program.load()
    images, labels = program.digits.load_data()[0]
    np.testing.assert_array_equal(np.concatenate([x["upper"], x["lower"]], 1)[..., 0] * 16, images)
    np.testing.assert_array_equal(y["even"], 1 - labels % 2)
    model, half = program.make_model()
    assert (model.input_names, model.output_names) == (["upper", "lower"], ["digit", "even"])
    assert half.layers[1] in model.layers


def test_a_siamese_net_beats_the_distance_of_images():
    raw, learned = example("siamese").main(epochs=8, verbose=0)
    assert 0.7 < raw < 0.9 and learned > raw + 0.03


def test_pairs_are_what_their_answers_say():
    program = example("siamese")
    images, labels = np.arange(40.0)[:, None], np.arange(40) % 10
    first, second, answers = program.make_pairs(images, labels, seed=0)
    np.testing.assert_array_equal(first[:, 0] % 10 == second[:, 0] % 10, answers == 1)
    assert answers.mean() == 0.5
    assert program.baseline(first, first + 1 - answers[:, None], answers) == 1


def test_a_custom_layer_learns_and_travels():
    model, history, accuracy = example("custom_layer").main(epochs=8, verbose=0)
    assert accuracy > 0.85
    assert list(history.history) == ["loss", "accuracy", "apart", "val_loss", "val_accuracy", "val_apart"]
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Prototypes", "Activation"]


def test_the_prototypes_answer_by_the_nearest():
    layer = example("custom_layer").Prototypes(2, each=2)
    x = torch.tensor([[0.0, 1.0], [3.0, 3.0]])
    scores = layer(x)
    apart = torch.cdist(x, layer.places).square()
    torch.testing.assert_close(scores, -torch.stack([apart[:, :2].amin(1), apart[:, 2:].amin(1)], 1))
    torch.testing.assert_close(layer.losses[0], 0.01 * apart.amin(0).mean())


def test_a_denoiser_takes_noise_off():
    program = example("subclassed_model")
    noisy, restored = program.main(epochs=8, verbose=0)
    assert noisy == pytest.approx(program.NOISE**2, rel=0.05)
    assert restored < noisy / 2


def test_raw_modules_in_a_keras_model():
    model, accuracy = example("raw_module_in_keras").main(epochs=8, verbose=0)
    assert accuracy > 0.9
    assert any(isinstance(layer, nn.TransformerEncoderLayer) for layer in model.layers)


def test_keras_layers_in_a_loop():
    accuracy, again = example("keras_layers_in_a_loop").main(epochs=3, verbose=0)
    assert accuracy > 0.9
    assert again == accuracy


def test_a_module_is_fitted():
    module, history, found = example("fit_a_module").main(epochs=3, verbose=0)
    assert found["accuracy"] > 0.9
    assert found["top_k_categorical_accuracy"] > found["accuracy"]
    assert list(history.history)[-1] == "val_top_k_categorical_accuracy"
    assert not any(type(part).__module__.startswith("torchkeras") for part in module.modules())
