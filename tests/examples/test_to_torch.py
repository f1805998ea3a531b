"""The example of plain PyTorch modules: another program predicts the same without this library."""

from __future__ import annotations

import importlib.util
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "to_torch.py"


def test_another_program_predicts_the_same(tmp_path):
    spec = importlib.util.spec_from_file_location("example_to_torch", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    text, difference = example.main(str(tmp_path), epochs=1, verbose=0)
    assert difference < 1e-5
    assert "class DigitsNet(nn.Module):" in text
    assert (tmp_path / "digits_net.py").read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["digits_net.pt", "digits_net.py", "images.pt", "predictions.pt"]
