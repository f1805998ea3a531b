"""`model.to_torch()`: the module, its text, what switches, what is shared, what is refused."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tests.exporting.checks import exported, flat, from_text
from torchkeras import layers
from torchkeras.exporting import to_torch
from torchkeras.layers import Dense, Input
from torchkeras.models import Model, Sequential


def image_net():
    return Sequential(
        [
            layers.Conv2D(4, 3, padding="same", strides=2, activation="relu", input_shape=(11, 9, 3)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(padding="same"),
            layers.SeparableConv2D(5, 2, activation="softmax"),
            layers.SpatialDropout2D(0.25),
            layers.Flatten(),
            layers.Dropout(0.5),
            Dense(3, activation="softmax"),
        ]
    )


def sequence_net():
    ids = Input((7,), dtype="int32", name="ids")
    vectors = layers.Embedding(20, 6)(ids)
    both = layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum")(vectors)
    last, state = layers.GRU(5, return_state=True)(both)
    return Model(ids, [Dense(2)(layers.add([last, state])), layers.TimeDistributed(Dense(3, activation="relu"))(both)])


def shared_net():
    encoder = Sequential([Dense(6, activation="tanh", input_shape=(5,)), Dense(4)], name="encoder")
    left, right = Input((5,), name="left"), Input((5,), name="right")
    a, b = encoder(left), encoder(right)
    distance = torch.sqrt(((a - b) ** 2).sum(-1, keepdim=True) + 1e-6)
    joined = layers.Concatenate()([a * b, distance, nn.functional.normalize(a, dim=-1)])
    return Model([left, right], {"distance": distance, "same": Dense(1, activation="sigmoid")(joined)})


def volume_net():
    x = Input((5, 6, 4, 2))
    y = layers.ZeroPadding3D(1)(layers.Conv3D(3, 2, padding="same")(x))
    y = layers.Cropping3D(((1, 0), (0, 1), (1, 1)))(layers.UpSampling3D()(layers.AveragePooling3D()(y)))
    return Model(x, layers.GlobalMaxPooling3D()(layers.Conv3DTranspose(2, 3, strides=2, activation="elu")(y)))


def unsized_net():
    x = Input((None, None, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    y = layers.MaxPooling2D(3, strides=2, padding="same")(y)
    y = layers.AveragePooling2D((2, 3), strides=(1, 2), padding="same")(y)
    y = layers.Conv2D(4, 2, strides=3, padding="same")(y)
    return Model(x, layers.GlobalAveragePooling2D()(y))


def raw_net():
    return Sequential([layers.Conv1D(4, 3, padding="causal", input_shape=(6, 3)), nn.Sequential(nn.Linear(4, 5), nn.GELU()), nn.LayerNorm(5)])


def batch(shapes, dtype=torch.float32):
    return [torch.rand(3, *shape).to(dtype) for shape in shapes]


KINDS = {
    "image": (image_net, lambda: batch([(11, 9, 3)])),
    "sequence": (sequence_net, lambda: [torch.randint(0, 20, (3, 7))]),
    "shared": (shared_net, lambda: batch([(5,), (5,)])),
    "volume": (volume_net, lambda: batch([(5, 6, 4, 2)])),
    "unsized": (unsized_net, lambda: batch([(23, 16, 3)])),
    "raw": (raw_net, lambda: batch([(6, 3)])),
}


@pytest.fixture(params=KINDS)
def kind(request):
    make, data = KINDS[request.param]
    return make(), data()


def test_each_kind_of_model_has_a_plain_form(kind):
    model, inputs = kind
    exported(model, *inputs)


@pytest.mark.parametrize("size", [(23, 16), (24, 17), (9, 9), (40, 31)])
def test_same_padding_follows_the_size_that_comes(size):
    exported(unsized_net(), torch.rand(2, *size, 3))


def test_gradients_are_those_of_the_model(kind):
    model, inputs = kind
    module = model.to_torch()
    for one in (model, module):
        sum(part.square().sum() for part in flat(one(*inputs) if one is module else one(inputs[0] if len(inputs) == 1 else inputs))).backward()
    ours = sorted(parameter.grad.norm().item() for parameter in model.parameters() if parameter.requires_grad)
    theirs = sorted(parameter.grad.norm().item() for parameter in module.parameters() if parameter.requires_grad)
    if any(isinstance(part, nn.GRU) for part in module.modules()):  # Keras has both biases of a GRU in one weight
        assert len(theirs) == len(ours) + 1
    else:
        np.testing.assert_allclose(theirs, ours, rtol=2e-3, atol=1e-5)


ALONE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torchkeras":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
sys.path[:] = [entry for entry in sys.path if entry]
import torch

for text, state, inputs, outputs in torch.load(sys.argv[1], weights_only=True):
    namespace = {"__name__": "alone"}
    exec(text, namespace)
    (kind,) = [thing for thing in namespace.values() if isinstance(thing, type) and thing.__module__ == "alone"]
    module = kind()
    module.load_state_dict(state)
    module.eval()
    results = module(*inputs)
    results = list(results.values()) if isinstance(results, dict) else results if isinstance(results, list) else [results]
    for got, want in zip(results, outputs, strict=True):
        torch.testing.assert_close(got, want)
for path in sys.argv[2:]:
    torch.load(path, weights_only=False)  # whole modules need no class of ours either
assert not [name for name in sys.modules if name.startswith("torchkeras")]
print("alone")
"""


def test_texts_and_modules_run_without_this_library(tmp_path):
    saved, paths = [], []
    for name, (make, data) in KINDS.items():
        module, text = make().to_torch(source=True)
        inputs = data()
        saved.append((text, module.state_dict(), inputs, [one.detach() for one in flat(module(*inputs))]))
        paths.append(tmp_path / f"{name}.pt")
        torch.save(module, paths[-1])
    torch.save(saved, tmp_path / "all.pt")
    command = [sys.executable, "-c", ALONE, str(tmp_path / "all.pt"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.stdout == "alone\n", done.stderr


def test_the_text_reads_like_a_person_s():
    _, text = shared_net().to_torch(source=True)
    assert "        self.encoder = nn.Module()\n        self.encoder.dense = nn.Linear(5, 6)\n" in text
    assert "def forward(self, left: torch.Tensor, right: torch.Tensor):" in text
    assert text.count("self.encoder.dense(") == 2
    assert re.search(r"return \{'distance': \w+, 'same': \w+\}", text)
    _, text = Sequential([Dense(2, activation="relu", input_shape=(3,), name="first")], name="tiny_net").to_torch(source=True)
    assert text.endswith(
        "class TinyNet(nn.Module):\n"
        '    """Takes x (?, 3); gives (?, 2)."""\n'
        "\n"
        "    def __init__(self) -> None:\n"
        "        super().__init__()\n"
        "        self.first = nn.Linear(3, 2)\n"
        "\n"
        "    def forward(self, x: torch.Tensor) -> torch.Tensor:\n"
        "        x = torch.relu(self.first(x))\n"
        "        return x\n"
    )


def test_channels_move_only_where_keras_order_is_needed():
    _, text = image_net().to_torch(source=True)
    assert text.count(".permute(") == 2  # at the door, and before Flatten


def test_weights_keep_torch_s_names():
    module = sequence_net().to_torch()
    names = set(module.state_dict())
    assert {"embedding.weight", "bidirectional.weight_ih_l0", "bidirectional.weight_hh_l0_reverse", "gru.bias_hh_l0", "dense.weight"} <= names


def test_train_and_eval_switch():
    x = Input((50,))
    y = layers.Dropout(0.5)(x)
    z = layers.GaussianNoise(1.0)(x)
    rows = layers.Dropout(0.5, noise_shape=(None, 1))(x)
    drop = layers.GaussianDropout(0.5)(x)
    model = Model(x, [y, z, rows, drop, layers.AlphaDropout(0.3)(x), layers.BatchNormalization()(x)])
    module, text = exported(model, torch.rand(8, 50))
    data = torch.rand(8, 50) + 0.5
    for made in (module, from_text(text, module)):
        made.train()
        outputs = made(data)
        assert (outputs[0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.15)
        assert (outputs[1] - data).std().item() == pytest.approx(1.0, abs=0.2)
        kept = (outputs[2] != 0).float()
        assert all(row.unique().numel() == 1 for row in kept) and 0 < kept.mean() < 1
        assert (outputs[3] / data).std().item() == pytest.approx(1.0, abs=0.2)
        assert outputs[5].mean(0).abs().max() < 1e-5
        made.eval()
        assert all(torch.equal(one, data) for one in made(data)[:5])


def test_the_module_has_the_mode_of_the_model():
    model = image_net()
    assert not model.to_torch().training
    model.train()
    assert model.to_torch().training and all(part.training for part in model.to_torch().modules())


def test_dropout_of_a_recurrent_layer_is_one_mask_for_all_steps():
    model = Sequential([layers.GRU(3, dropout=0.5, return_sequences=True, input_shape=(6, 40))])
    module, text = exported(model, torch.rand(2, 6, 40))
    assert "self.gru_dropout(torch.ones_like(x[:, :1]))" in text
    module.train()
    assert not torch.equal(module(torch.ones(2, 6, 40)), module(torch.ones(2, 6, 40)))


def test_frozen_layers_stay_frozen():
    model = Sequential([Dense(4, input_shape=(3,), trainable=False), layers.BatchNormalization(trainable=False), Dense(2)])
    module, text = exported(model, torch.rand(5, 3))
    assert [name for name, one in module.named_parameters() if one.requires_grad] == ["dense_1.weight", "dense_1.bias"]
    assert "self.dense.requires_grad_(False)" in text
    before = module.state_dict()["batch_normalization.running_mean"].clone()
    module.train()
    module(torch.rand(5, 3))
    assert torch.equal(module.state_dict()["batch_normalization.running_mean"], before)  # as in tf.keras


def test_parts_of_a_norm_that_keras_leaves_out_are_not_trained():
    x = Input((4, 6))
    norm = layers.BatchNormalization(scale=False)(x)
    model = Model(
        x,
        [
            norm,
            layers.LayerNormalization(center=False)(x),
            layers.LayerNormalization(scale=False)(x),
            layers.BatchNormalization(center=False, scale=False)(x),
        ],
    )
    module, _ = exported(model, torch.rand(3, 4, 6))
    assert sorted(name for name, one in module.named_parameters() if one.requires_grad) == [
        "batch_normalization.bias",
        "layer_normalization.weight",
        "layer_normalization_1.bias",
    ]


def test_a_layer_used_inside_and_outside_of_a_nested_model_is_one_part():
    dense = Dense(4)
    inner_in = Input((4,))
    inner = Model(inner_in, dense(inner_in), name="inner")
    x = Input((4,))
    module, text = exported(Model(x, dense(inner(dense(x)))), torch.rand(2, 4))
    assert len(list(module.parameters())) == 2 and text.count("nn.Linear(") == 1


def test_tied_weights_stay_tied():
    embedding = layers.Embedding(9, 4)
    ids = Input((3,), dtype="int32")
    vectors = embedding(ids)
    linear = nn.Linear(4, 9, bias=False)
    linear.weight = embedding.weight
    model = Model(ids, [linear(vectors), vectors @ embedding.embeddings.t()] if hasattr(embedding.embeddings, "parameter") else linear(vectors))
    module, text = exported(model, torch.randint(0, 9, (2, 3)))
    assert "self.linear.weight = self.embedding.weight" in text
    assert len({one.data_ptr() for one in module.parameters()}) == 1


def test_the_same_output_twice_and_an_input_as_output():
    x = Input((3,))
    y = Dense(3)(x)
    inner = Model(x, [y, y, x])
    z = Input((3,))
    a, b, c = inner(z)
    exported(Model(z, [a + 1, b * 2, c, z]), torch.rand(2, 3))


def test_losses_beside_the_outputs_are_left_out():
    x = Input((3,))
    y = Dense(2)(x)
    model = Model(x, y)
    model.add_loss(Dense(1, name="beside")(y).mean())
    module, text = to_torch(model, source=True)
    assert "beside" not in text and len(list(module.parameters())) == 2


def test_states_go_from_layer_to_layer():
    source, target = Input((5, 3)), Input((4, 2))
    _, h, c = layers.LSTM(6, return_state=True)(source)
    decoded = layers.LSTM(6, return_sequences=True)(target, initial_state=[h, c])
    first = layers.Bidirectional(layers.GRU(3, return_sequences=True, return_state=True), merge_mode=None)(decoded)
    _, text = exported(Model([source, target], first), torch.rand(2, 5, 3), torch.rand(2, 4, 2))
    assert ".unsqueeze(0)" in text


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.LSTM(3, go_backwards=True, return_sequences=True),
        lambda: layers.SimpleRNN(3, activation="relu", use_bias=False),
        lambda: layers.CuDNNGRU(3, return_sequences=True),
        lambda: layers.CuDNNLSTM(3),
        lambda: layers.RNN(layers.LSTMCell(3)),
        lambda: layers.Bidirectional(layers.LSTM(3), merge_mode="ave"),
        lambda: layers.Bidirectional(layers.LSTM(3, dropout=0.3, return_sequences=True)),
        lambda: layers.Bidirectional(layers.SimpleRNN(3), backward_layer=layers.SimpleRNN(5, go_backwards=True)),
        lambda: layers.TimeDistributed(Sequential([layers.Conv1D(3, 2), layers.GlobalMaxPooling1D()])),
        lambda: layers.TimeDistributed(layers.Conv1D(3, 2, data_format="channels_last")),
    ],
)
def test_recurrent_forms(layer):
    made = layer()
    shape = (5, 4, 2) if isinstance(made, layers.TimeDistributed) else (5, 4)
    exported(Sequential([layers.InputLayer(shape), made]), torch.rand(2, *shape))


def test_recorded_operations():
    x = Input((4, 6))
    weight = nn.Parameter(torch.rand(6))
    table = torch.arange(24.0).view(4, 6)
    outputs = [
        -x, abs(x), 2 - x, x / 3, x @ x.transpose(1, 2), x**2, 1 / (x + 1), x[:, -1], x[:, None, ::2, 1:], x[..., 0], x.T if x.dim() == 2 else x.mT,
        torch.cat([x, x * weight], -1), torch.where(x > 0.5, x, table), x.mean(1), x.view(x.size(0), -1), torch.stack((x, x), 1),
        torch.nn.functional.normalize(x, dim=-1), torch.logsumexp(x, (1, 2)), torch.einsum("nij,nkj->nik", x, x), x.clamp(min=0.25), ~(x > 0.5),
        *torch.split(x, 2, 1), x.max(1)[0], torch.topk(x, 2)[0], x.to(torch.float64), x.clone().fill_(3.0), torch.linalg.vector_norm(x, dim=-1),
    ]  # fmt: skip
    module, text = exported(Model(x, outputs), torch.rand(3, 4, 6))
    for words in ("-x", "2 - x", "x / 3", "x ** 2", "x[:, -1]", "x[:, None, ::2, 1:]", "x[..., 0]", "F.normalize(x, dim=-1)", "torch.topk(x, 2)"):
        assert words in text
    assert any(parameter.shape == (6,) for parameter in module.parameters())


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return x * self.scale


def test_a_module_of_the_user_is_kept_and_the_text_takes_it_as_an_argument():
    doubled = Doubled()
    model = Sequential([Dense(3, input_shape=(2,)), doubled])
    module, text = exported(model, torch.rand(4, 2), given=(copy.deepcopy(doubled),))
    assert "def __init__(self, doubled: nn.Module) -> None:" in text
    kept = next(part for part in module.modules() if isinstance(part, Doubled))
    assert kept is not doubled and kept.scale is not doubled.scale


def test_types_and_modes_of_the_weights_go_along():
    model = Sequential([Dense(3, input_shape=(2,)), layers.BatchNormalization()]).double()
    module, text = exported(model, torch.rand(4, 2, dtype=torch.float64))
    assert {one.dtype for one in module.parameters()} == {torch.float64}
    assert ".to(torch.float64)" in text


def test_copies_and_pickles_of_the_module():
    model = image_net()
    module, x = model.to_torch(), torch.rand(2, 11, 9, 3)
    for made in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(made(x), module(x))
    assert torch.export.export(module, (x,)).module()(x).shape == (2, 3)


def test_later_training_does_not_touch_the_module():
    model, x = image_net(), torch.rand(4, 11, 9, 3)
    module = model.to_torch()
    before = module(x)
    model.compile("sgd", "mse")
    model.fit(x.numpy(), np.zeros((4, 3), "float32"), verbose=0)
    assert torch.equal(module(x), before)


def test_operations_on_images_leave_the_order_of_the_axes():
    x = Input((6, 5, 3))
    a = layers.Conv2D(4, 3, padding="same")(x)
    b = layers.Conv2D(4, 1)(a)
    y = torch.relu((a + b) * 0.5 - 1) / (2 + torch.exp(a))
    y = layers.Conv2D(2, 2)(y * torch.arange(4.0))  # a constant beside the channels: their place counts
    _, text = exported(Model(x, y), torch.rand(2, 6, 5, 3))
    exported(Model(x, a @ b.transpose(2, 3)), torch.rand(2, 6, 5, 3))
    exported(Model(x, a @ (a + b).mT), torch.rand(2, 6, 5, 3))
    assert text.count(".permute(") == 4  # at both ends, and around the constant
