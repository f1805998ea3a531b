"""Metrics over two processes equal those of one."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.multiprocessing

from torchkeras import metrics

MAKE = {
    "accuracy": metrics.SparseCategoricalAccuracy,
    "mean": lambda: metrics.MeanMetricWrapper(metrics.mean_squared_error),
    "auc": lambda: metrics.AUC(num_thresholds=20),
    "precision": lambda: metrics.Precision([0.3, 0.6]),
}


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randint(0, 2, (rows, 2), generator=generator).float(), torch.rand(rows, 2, generator=generator)) for rows in (3, 5, 1, 4, 2)]


def update(metric: metrics.Metric, name: str, y_true: torch.Tensor, y_pred: torch.Tensor) -> None:
    metric.update_state(y_true[:, 0] if name == "accuracy" else y_true, y_pred)


def process(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {}
    for name, make in MAKE.items():
        metric = make()
        for y_true, y_pred in batches()[rank::2]:
            update(metric, name, y_true, y_pred)
        own = metric.result()
        over_all = metric.global_result()
        torch.testing.assert_close(metric.result(), own)  # its own state is back
        metric.all_reduce_state()
        torch.testing.assert_close(metric.result(), over_all)
        found[name] = over_all
    together = [make() for make in MAKE.values()]
    for metric, name in zip(together, MAKE, strict=True):
        for y_true, y_pred in batches()[rank::2]:
            update(metric, name, y_true, y_pred)
    with metrics.over_processes(together):
        for metric, name in zip(together, MAKE, strict=True):
            torch.testing.assert_close(metric.result(), found[name])
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path: Path):
    torch.multiprocessing.start_processes(process, (str(tmp_path),), nprocs=2, start_method="spawn")
    for name, make in MAKE.items():
        alone = make()
        for y_true, y_pred in batches():
            update(alone, name, y_true, y_pred)
        for rank in range(2):
            torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt")[name], alone.result())
        torch.testing.assert_close(alone.global_result(), alone.result())  # one process: nothing to reduce
