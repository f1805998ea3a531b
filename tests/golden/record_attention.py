"""Record what MultiHeadAttention of Keras 3 computes, since tf.keras 2.4.0 has none.

Run with genuine Keras 3 on torch: `KERAS_BACKEND=torch python tests/golden/record_attention.py`. It writes
`keras-3.15.1/attention.json` (cases: arguments, shapes, how the layer was called) and `attention.npz` (arrays, keys `<case>/<name>`).
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

FOLDER = Path(__file__).parent / "keras-3.15.1"
CASES = {
    "self": {"kwargs": {"num_heads": 2, "key_dim": 3}, "shapes": {"query": (2, 4, 5), "value": (2, 4, 5)}},
    "cross": {"kwargs": {"num_heads": 3, "key_dim": 2, "value_dim": 4}, "shapes": {"query": (2, 4, 5), "value": (2, 6, 3), "key": (2, 6, 7)}},
    "no_bias": {"kwargs": {"num_heads": 2, "key_dim": 3, "use_bias": False, "output_shape": 6}, "shapes": {"query": (2, 4, 5), "value": (2, 3, 5)}},
    "output_shape": {"kwargs": {"num_heads": 2, "key_dim": 3, "output_shape": (2, 3)}, "shapes": {"query": (2, 4, 5), "value": (2, 3, 5)}},
    "masked": {"kwargs": {"num_heads": 2, "key_dim": 3}, "shapes": {"query": (2, 4, 5), "value": (2, 6, 5)}, "mask": (2, 4, 6)},
    "scores": {"kwargs": {"num_heads": 2, "key_dim": 3}, "shapes": {"query": (2, 4, 5), "value": (2, 6, 5)}, "mask": (2, 4, 6), "scores": True},
    "image": {"kwargs": {"num_heads": 2, "key_dim": 3}, "shapes": {"query": (2, 2, 3, 5), "value": (2, 3, 2, 5)}, "scores": True},
    "one_axis": {
        "kwargs": {"num_heads": 2, "key_dim": 3, "attention_axes": [2]},
        "shapes": {"query": (2, 2, 3, 5), "value": (2, 2, 4, 5)},
        "scores": True,
    },
    "first_axis": {"kwargs": {"num_heads": 2, "key_dim": 3, "attention_axes": [1]}, "shapes": {"query": (2, 2, 3, 5), "value": (2, 4, 3, 5)}},
}


def record(name, case, rng):
    layer = keras.layers.MultiHeadAttention(**{key: tuple(value) if isinstance(value, list) else value for key, value in case["kwargs"].items()})
    inputs = {key: torch.tensor(rng.standard_normal(shape), dtype=torch.float32, requires_grad=True) for key, shape in case["shapes"].items()}
    call = {"attention_mask": None, "return_attention_scores": case.get("scores", False)}
    if "mask" in case:
        mask = rng.random(case["mask"]) < 0.6
        mask[..., 0] = True  # every query sees a step: releases differ where it sees none
        call["attention_mask"] = torch.tensor(mask)
    layer.build(*(tuple(inputs[key].shape) for key in ("query", "value", "key") if key in inputs))
    layer.set_weights([rng.standard_normal(weight.shape).astype("float32") * 0.5 for weight in layer.weights])
    result = layer(inputs["query"], inputs["value"], inputs.get("key"), **call)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    cotangents = [torch.tensor(rng.standard_normal(output.shape), dtype=torch.float32) for output in outputs]
    total = sum((output * cotangent).sum() for output, cotangent in zip(outputs, cotangents, strict=True))
    values = [variable.value for variable in layer.weights]
    gradients = torch.autograd.grad(total, [*inputs.values(), *values])
    arrays = {f"x.{key}": value for key, value in inputs.items()}
    arrays |= {f"gx.{key}": gradient for key, gradient in zip(inputs, gradients, strict=False)}
    for kind, tensors in (("y", outputs), ("cot", cotangents), ("w", values), ("gw", gradients[len(inputs) :])):
        arrays |= {f"{kind}{number}": tensor for number, tensor in enumerate(tensors)}
    if call["attention_mask"] is not None:
        arrays["mask"] = call["attention_mask"]
    info = {
        "id": name,
        "kwargs": case["kwargs"],
        "scores": case.get("scores", False),
        "weights": [weight.path.split("/", 1)[-1] for weight in layer.weights],
    }
    return info, {f"{name}/{key}": value.detach().numpy() for key, value in arrays.items()}


def main():
    rng = np.random.default_rng(0)
    infos, arrays = [], {}
    for name, case in CASES.items():
        info, found = record(name, case, rng)
        infos.append(info)
        arrays.update(found)
    lines = ",\n".join(json.dumps(info) for info in infos)
    (FOLDER / "attention.json").write_text(f'{{"keras": "{keras.__version__}", "torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n')
    np.savez_compressed(FOLDER / "attention.npz", **arrays)


if __name__ == "__main__":
    main()
