"""Tables, files and the plot of what was measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Comparison, markdown_table

OURS = "torchkeras"
RATIO_GOAL = 1.05
EXCESS_GOAL = 25e-6  # seconds a step, where that is more
WHAT = {"train": "training step", "predict": "predicted batch", "evaluate": "evaluated batch"}


@dataclass(frozen=True)
class Row:
    """One workload and action: what was measured, and over how many steps."""

    title: str
    name: str
    action: str
    steps: int
    result: Comparison

    def goal(self) -> str:
        """Whether torchkeras is at most 1.05 of the tuned loop, or 25 us a step more."""
        if OURS not in self.result.seconds:
            return ""
        excess = self.result.excess(OURS).median / self.steps
        return "met" if self.result.ratio(OURS).median <= RATIO_GOAL or excess <= EXCESS_GOAL else f"missed: +{excess * 1e6:,.0f} us"


def one_line(row: Row) -> str:
    """The ratios of one row."""
    return ", ".join(f"{name} {row.result.ratio(name)}" for name in row.result.seconds if name != row.result.baseline)


def text(rows: list[Row], footer: str) -> str:
    """A Markdown table for each action, and the footer."""
    parts = []
    for action, what in WHAT.items():
        chosen = [row for row in rows if row.action == action]
        if not chosen:
            continue
        rivals = list(dict.fromkeys(name for row in chosen for name in row.result.seconds if name != row.result.baseline))
        header = ["workload (batch)", "tuned, us", *rivals, "goal"]
        body = [
            [
                row.title,
                f"{row.result.time(row.result.baseline).median / row.steps * 1e6:,.0f}",
                *(str(row.result.ratio(name)) if name in row.result.seconds else "-" for name in rivals),
                row.goal(),
            ]
            for row in chosen
        ]
        parts.append(f"Microseconds a {what} of the tuned loop, and each rival's time over it: median (least-greatest round).\n")
        parts.append(markdown_table(header, body) + "\n")
    return "\n".join([*parts, footer, ""])


def write(rows: list[Row], body: str, folder: Path, stem: str) -> list[Path]:
    """Write the table, every measured number, and a plot where matplotlib is installed; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    table, numbers = folder / f"{stem}.md", folder / f"{stem}.json"
    table.write_text(body, encoding="utf-8")
    raw = [{"workload": row.name, "action": row.action, "steps": row.steps, "seconds": row.result.seconds} for row in rows]
    numbers.write_text(json.dumps({"about": body.strip().splitlines()[-1], "rows": raw}, indent=1), encoding="utf-8")
    try:
        return [table, numbers, plot(rows, folder / f"{stem}.png")]
    except ImportError:
        return [table, numbers]


def plot(rows: list[Row], path: Path) -> Path:
    """Bars of the ratios, with the spread of the rounds, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullFormatter

    actions = [action for action in WHAT if any(row.action == action for row in rows)]
    figure, axes = pyplot.subplots(1, len(actions), figsize=(6 * len(actions), 1 + 0.9 * len(rows) / len(actions)), squeeze=False, sharey=True)
    for axis, action in zip(axes[0], actions, strict=True):
        chosen = [row for row in rows if row.action == action]
        rivals = list(dict.fromkeys(name for row in chosen for name in row.result.seconds if name != row.result.baseline))
        for place, rival in enumerate(rivals):
            here = [(index, row.result.ratio(rival)) for index, row in enumerate(chosen) if rival in row.result.seconds]
            height = 0.8 / len(rivals)
            errors = [[ratio.median - ratio.low for _, ratio in here], [ratio.high - ratio.median for _, ratio in here]]
            where = [index + (place - (len(rivals) - 1) / 2) * height for index, _ in here]
            axis.barh(where, [ratio.median for _, ratio in here], height, xerr=errors, label=rival, error_kw={"elinewidth": 0.8})
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel(f"{WHAT[action]}: time over the tuned loop's")
        axis.set_yticks(range(len(chosen)), [row.name for row in chosen])
        axis.invert_yaxis()
    axes[0][0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
