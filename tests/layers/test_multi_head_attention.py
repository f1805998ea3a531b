"""MultiHeadAttention against Keras 3 (tf.keras 2.4.0 has none) and against torch's own."""

import json

import numpy as np
import pytest
import torch

from tests.golden_cases import FOLDERS, GOLDEN
from tests.layers.golden_layer import close
from tests.layers.harness import check_layer
from torchkeras.layers import Input, MultiHeadAttention

FOLDER = GOLDEN / FOLDERS["3.15.1"]
CASES = json.loads((FOLDER / "attention.json").read_text())["cases"]
ATOL = 2e-5  # float32 sums of a few dozen products of order 1


# where scores were recorded, the gradients are theirs as well
@pytest.mark.parametrize(("case", "scores"), [(case, scores) for case in CASES for scores in (False, True) if scores or not case["scores"]])
def test_attention_matches_keras_3(case, scores):
    found = np.load(FOLDER / "attention.npz")
    arrays = {key.split("/")[1]: found[key] for key in found.files if key.startswith(case["id"] + "/")}
    layer = MultiHeadAttention(**{key: tuple(value) if isinstance(value, list) else value for key, value in case["kwargs"].items()})
    inputs = {name: torch.tensor(arrays[f"x.{name}"], requires_grad=True) for name in ("query", "value", "key") if f"x.{name}" in arrays}
    mask = torch.tensor(arrays["mask"]) if "mask" in arrays else None
    with torch.no_grad():
        layer(*inputs.values())
    layer.set_weights([arrays[f"w{number}"] for number in range(len(case["weights"]))])
    assert [weight.name for weight in layer.weights] == [f"multi_head_attention/{name}:0" for name in case["weights"]]
    result = layer(*inputs.values(), attention_mask=mask, return_attention_scores=scores)
    outputs = list(result) if scores else [result]
    recorded = [arrays[f"y{number}"] for number in range(2 if case["scores"] else 1)]
    for output, wanted in zip(outputs, recorded, strict=False):
        close(output, wanted, ATOL, "output")
    total = sum((output * torch.tensor(arrays[f"cot{number}"])).sum() for number, output in enumerate(outputs[: len(recorded)]))
    views = layer.weights
    gradients = torch.autograd.grad(total, [*inputs.values(), *(view.parameter for view in views)])
    for name, gradient in zip(inputs, gradients, strict=False):
        close(gradient, arrays[f"gx.{name}"], ATOL * 5, f"gradient of {name}")
    for number, (view, gradient) in enumerate(zip(views, gradients[len(inputs) :], strict=True)):
        close(view.spec.layout.to_keras(gradient, view.spec.shape), arrays[f"gw{number}"], ATOL * 5, f"gradient of {view.name}")


class SelfAttention(MultiHeadAttention):
    """One input, for the harness."""

    def call(self, inputs, training=None):
        return super().call(inputs, inputs, training=training)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of vmap, over torch's kernel on the CPU
@pytest.mark.parametrize(
    ("kwargs", "shape"),
    [
        ({"num_heads": 2, "key_dim": 3}, (2, 4, 5)),
        ({"num_heads": 1, "key_dim": 2, "value_dim": 3, "use_bias": False, "output_shape": (2, 2), "dropout": 0.2}, (2, 4, 5)),
        ({"num_heads": 2, "key_dim": 2, "attention_axes": (1,), "kernel_regularizer": "l2", "bias_constraint": "non_neg"}, (2, 3, 2, 4)),
    ],
)
def test_attention_stands_the_harness(kwargs, shape):
    # "sequential": the bias of the keys has no influence (softmax), so it never moves
    check_layer(SelfAttention, kwargs, shape, unknown=(0, 1), random="dropout" in kwargs, skip=["sequential"])


@pytest.mark.parametrize("kwargs", [{}, {"attention_axes": [2]}, {"output_shape": (3, 2)}], ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_exported_for_batches_and_sequences_of_any_size(kwargs, masked):
    layer, inner = MultiHeadAttention(2, 3, **kwargs), (3,) if "attention_axes" in kwargs else ()

    def data(batch, queries, steps):
        mask = {"attention_mask": torch.rand(batch, queries, steps) > 0.3} if masked else {}
        return (torch.randn(batch, *inner, queries, 5), torch.randn(batch, *inner, steps, 5)), mask

    inputs, mask = data(2, 4, 6)
    layer(*inputs)
    free = torch.export.Dim.DYNAMIC
    sizes = {0: free, 1 + len(inner): free}
    shapes = {"query": sizes, "value": sizes, **({"attention_mask": {0: free, 1: free, 2: free}} if masked else {})}
    program = torch.export.export(layer, inputs, mask, dynamic_shapes=shapes).module()
    more, mask = data(5, 7, 9)
    torch.testing.assert_close(program(*more, **mask), layer(*more, **mask))


def test_attention_is_that_of_torch():
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    ours = MultiHeadAttention(2, 4)
    x, y = torch.randn(3, 5, 8), torch.randn(3, 7, 8)
    ours(x, y)
    q, k, v = theirs.in_proj_weight.detach().chunk(3)
    ours.load_state_dict(
        {
            **{f"{name}_weight": weight for name, weight in zip(("q_proj", "k_proj", "v_proj"), (q, k, v), strict=True)},
            **{f"{name}_bias": bias for name, bias in zip(("q_proj", "k_proj", "v_proj"), theirs.in_proj_bias.detach().chunk(3), strict=True)},
            "out_proj_weight": theirs.out_proj.weight,
            "out_proj_bias": theirs.out_proj.bias,
        }
    )
    allowed = torch.rand(5, 7) < 0.6
    allowed[:, 0] = True
    wanted, weights = theirs(x, y, y, attn_mask=~allowed, average_attn_weights=False)
    got, scores = ours(x, y, attention_mask=allowed, return_attention_scores=True)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(scores, weights)
    torch.testing.assert_close(ours(x, y, attention_mask=allowed), wanted)
    assert ours.weights[0].shape == (8, 2, 4)


def test_masks_broadcast():
    layer, x = MultiHeadAttention(2, 3), torch.randn(2, 4, 5)
    keep = torch.tensor([[True, True, False, True], [True, False, False, True]])
    wanted = layer(x, x, attention_mask=keep[:, None, :].expand(2, 4, 4))
    torch.testing.assert_close(layer(x, x, attention_mask=keep[:, None, :]), wanted)
    torch.testing.assert_close(layer(x, x, attention_mask=keep[:, None, :].float().numpy()), wanted)
    torch.testing.assert_close(layer(x, x, attention_mask=torch.ones(4, 4, dtype=torch.bool)), layer(x, x))


def test_symbolic_inputs_by_any_name():
    layer = MultiHeadAttention(2, 3, output_shape=6)
    query, value, key = Input((4, 5)), Input((None, 7)), Input((None, 8))
    made = layer(value=value, key=key, query=query)
    assert tuple(made.shape) == (None, 4, 6)
    _, scores = layer(query, value, key, return_attention_scores=True)
    assert tuple(scores.shape) == (None, 2, 4, None)
    assert layer.compute_output_shape([(2, 4, 5), (2, 9, 7)]) == (2, 4, 6)
    assert layer.get_config()["output_shape"] == 6


def test_dropout_in_training_leaves_the_scores_whole():
    layer, x = MultiHeadAttention(2, 3, dropout=0.5), torch.randn(2, 6, 5)
    still, scores = layer(x, x, return_attention_scores=True)
    torch.manual_seed(0)
    dropped, same = layer(x, x, return_attention_scores=True, training=True)
    torch.testing.assert_close(same, scores)
    assert not torch.allclose(dropped, still)
    assert not torch.allclose(layer(x, x, training=True), still)


def test_bad_arguments():
    x = torch.randn(2, 4, 5)
    with pytest.raises(ValueError, match=r"MultiHeadAttention 'm' needs sizes above 0, but got num_heads=0, key_dim=3"):
        MultiHeadAttention(0, 3, name="m")
    layer = MultiHeadAttention(2, 3, name="m")
    with pytest.raises(TypeError, match=r"MultiHeadAttention 'm' is called as layer\(query, value, key=None\), but got no query"):
        layer(value=x)
    with pytest.raises(ValueError, match=r"'m' needs a key and a value of the same lengths.*\(2, 4, 5\).*\(2, 3, 5\)"):
        layer(x, x, x[:, :3])
    with pytest.raises(ValueError, match=r"'m' needs inputs of at least three axes"):
        layer(x[0], x[0])
    with pytest.raises(ValueError, match=r"'m' needs to know the size of the last axis of its key"):
        layer(Input((4, 5)), Input((4, None)))
    layer(x, x)
    with pytest.raises(ValueError, match=r"'m' was built for a value of size 5 on the last axis"):
        layer(x, torch.randn(2, 4, 6))
    with pytest.raises(ValueError, match=r"'m' attends over axes between the batch and the last, but has attention_axes=\(2,\)"):
        MultiHeadAttention(2, 3, attention_axes=2, name="m")(x, x)
