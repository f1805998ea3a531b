"""A picture of a graph of boxes without Graphviz: boxes in ranks, edges in between, as SVG or by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

from torchkeras.utils.atomic import atomic_text, atomic_write

_FONT = 12.0  # pixels, as all lengths here
_CHARACTER = 0.62 * _FONT  # width of a usual one
_LINE = 1.5 * _FONT
_PADDING = 8.0
_GAP_ACROSS = 24.0
_GAP_ALONG = 34.0
_MARGIN = 16.0
_LONGEST_SIDE = 30_000  # pixels of a PNG
_HEAD = "#dbe9f6"
_EDGE = "#555555"


@dataclass
class Card:
    """What is drawn for a box: lines of text, the first on a coloured ground.

    Attributes:
        name: Of the box.
        lines: The text.
        inputs: Names of the cards that edges come from.
    """

    name: str
    lines: list[str]
    inputs: list[str]
    rank: int = 0
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0  # of its middle
    y: float = 0.0  # of its middle


@dataclass
class Picture:
    """Cards at their places.

    Attributes:
        cards: The cards.
        edges: For each edge the points that it goes through; the last one has the arrow.
        width, height: Of the whole picture.
    """

    cards: list[Card]
    edges: list[list[tuple[float, float]]] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def lay_out(cards: Sequence[Card], rankdir: str = "TB") -> Picture:
    """Place cards so that edges lead from rank to rank.

    Args:
        cards: In an order in which inputs come first.
        rankdir: "TB", "BT", "LR" or "RL": where edges lead.
    """
    across = rankdir in ("LR", "RL")
    by_name = {card.name: card for card in cards}
    for card in cards:
        card.width = max((len(line) for line in card.lines), default=1) * _CHARACTER + 2 * _PADDING
        card.height = len(card.lines) * _LINE + _PADDING
        card.rank = 1 + max((by_name[name].rank for name in card.inputs if name in by_name), default=-1)
    stops, paths = _bends(cards, by_name)
    ranks: list[list[Card]] = [[] for _ in range(1 + max((card.rank for card in cards), default=-1))]
    for card in [*cards, *stops]:
        ranks[card.rank].append(card)
    _sort_ranks(ranks, paths)
    size = (lambda card: card.height) if across else (lambda card: card.width)
    depth = (lambda card: card.width) if across else (lambda card: card.height)
    places = _place(ranks, paths, size)
    along = _MARGIN
    for rank in ranks:
        thick = max((depth(card) for card in rank), default=0.0)
        for card in rank:
            card.x, card.y = (along + thick / 2, places[card.name]) if across else (places[card.name], along + thick / 2)
        along += thick + _GAP_ALONG
    picture = Picture(list(cards))
    picture.width = max((card.x + card.width / 2 for card in cards), default=0.0) + _MARGIN
    picture.height = max((card.y + card.height / 2 for card in cards), default=0.0) + _MARGIN
    for card in [*cards, *stops]:
        card.x = picture.width - card.x if rankdir == "RL" else card.x
        card.y = picture.height - card.y if rankdir == "BT" else card.y
    every = {card.name: card for card in [*cards, *stops]}
    picture.edges = [_points([every[name] for name in path], rankdir) for path in paths]
    return picture


def _bends(cards: Sequence[Card], by_name: dict[str, Card]) -> tuple[list[Card], list[list[str]]]:
    """Narrow stops for edges that pass ranks, and each edge as the names that it goes through."""
    stops: list[Card] = []
    paths: list[list[str]] = []
    for card in cards:
        for source in card.inputs:
            if source not in by_name:
                continue
            path = [source]
            for rank in range(by_name[source].rank + 1, card.rank):
                stop = Card(f"\0{len(stops)}", [], [], rank, width=2.0, height=2.0)
                stops.append(stop)
                path.append(stop.name)
            paths.append([*path, card.name])
    return stops, paths


def _neighbours(paths: list[list[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for path in paths:
        for one, other in pairwise(path):
            after.setdefault(one, []).append(other)
            before.setdefault(other, []).append(one)
    return before, after


def _sort_ranks(ranks: list[list[Card]], paths: list[list[str]]) -> None:
    """Order each rank by where its neighbours stand, down and up a few times, so that few edges cross."""
    before, after = _neighbours(paths)
    for turn in range(6):
        linked = before if turn % 2 == 0 else after
        order = {card.name: place for rank in ranks for place, card in enumerate(rank)}
        for rank in ranks if turn % 2 == 0 else reversed(ranks):
            mean = {card.name: _mean([order[name] for name in linked.get(card.name, ())], order[card.name]) for card in rank}
            rank.sort(key=lambda card: mean[card.name])
            order.update({card.name: place for place, card in enumerate(rank)})


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _place(ranks: list[list[Card]], paths: list[list[str]], size: Any) -> dict[str, float]:
    """Middles across the ranks: each card as near its neighbours as its rank allows."""
    before, after = _neighbours(paths)
    places: dict[str, float] = {}
    for rank in ranks:
        at = 0.0
        for card in rank:
            places[card.name] = at + size(card) / 2
            at += size(card) + _GAP_ACROSS
    for turn in range(8):
        linked = before if turn % 2 == 0 else after
        for rank in ranks if turn % 2 == 0 else reversed(ranks):
            wanted = [_mean([places[name] for name in linked.get(card.name, ())], places[card.name]) for card in rank]
            places.update({card.name: at for card, at in zip(rank, _spread(rank, wanted, size), strict=True)})
    lowest = min((places[card.name] - size(card) / 2 for rank in ranks for card in rank), default=0.0)
    return {name: at - lowest + _MARGIN for name, at in places.items()}


def _spread(rank: list[Card], wanted: list[float], size: Any) -> list[float]:
    """Places as near the wanted ones as gaps allow: cards that would overlap form a block about the mean of what they want."""
    blocks: list[tuple[float, list[int], list[float]]] = []  # middle of the first card, cards, offsets from it
    for number in range(len(rank)):
        members, offsets, start = [number], [0.0], wanted[number]
        while blocks:
            first, others, their = blocks[-1]
            last = others[-1]
            room = size(rank[last]) / 2 + _GAP_ACROSS + size(rank[members[0]]) / 2
            if first + their[-1] + room <= start:
                break
            blocks.pop()
            shift = their[-1] + room
            members, offsets = others + members, their + [offset + shift for offset in offsets]
            start = _mean([wanted[member] - offset for member, offset in zip(members, offsets, strict=True)], 0.0)
        blocks.append((start, members, offsets))
    found = [0.0] * len(rank)
    for start, members, offsets in blocks:
        for member, offset in zip(members, offsets, strict=True):
            found[member] = start + offset
    return found


def _points(cards: list[Card], rankdir: str) -> list[tuple[float, float]]:
    """The line of an edge: from the border of the first card to that of the last."""
    dx, dy = {"TB": (0, 1), "BT": (0, -1), "LR": (1, 0), "RL": (-1, 0)}[rankdir]
    first, last = cards[0], cards[-1]
    start = (first.x + dx * first.width / 2, first.y + dy * first.height / 2)
    end = (last.x - dx * last.width / 2, last.y - dy * last.height / 2)
    return [start, *((card.x, card.y) for card in cards[1:-1]), end]


def write_svg(picture: Picture, path: Any) -> None:
    """Write a picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture.width:.0f}" height="{picture.height:.0f}" '
        f'viewBox="0 0 {picture.width:.1f} {picture.height:.1f}" font-family="Helvetica, Arial, sans-serif" font-size="{_FONT:g}">',
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{_EDGE}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for edge in picture.edges:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in edge)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_EDGE}" marker-end="url(#arrow)"/>')
    for card in picture.cards:
        left, top = card.x - card.width / 2, card.y - card.height / 2
        whole = f'x="{left:.1f}" y="{top:.1f}" width="{card.width:.1f}"'
        parts.append(f'<rect {whole} height="{card.height:.1f}" rx="4" fill="white" stroke="{_EDGE}"/>')
        head = card.height if len(card.lines) == 1 else _LINE + _PADDING / 2
        parts.append(f'<rect {whole} height="{head:.1f}" rx="4" fill="{_HEAD}" stroke="{_EDGE}"/>')
        for number, line in enumerate(card.lines):
            weight = ' font-weight="bold"' if number == 0 else ""
            middle = top + _PADDING / 2 + (number + 0.5) * _LINE
            parts.append(f'<text x="{card.x:.1f}" y="{middle:.1f}" text-anchor="middle" dominant-baseline="central"{weight}>{escape(line)}</text>')
    with atomic_text(path) as file:
        file.write("\n".join([*parts, "</svg>\n"]))


def write_bitmap(picture: Picture, path: Any, kind: str, dpi: float) -> None:
    """Write a picture by matplotlib.

    Args:
        picture: The picture.
        path: The file.
        kind: "png", "pdf", ...
        dpi: Pixels per inch, at 96 of which a length of the picture is a pixel.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    dpi = min(dpi, 96 * _LONGEST_SIDE / max(picture.width, picture.height, 1.0))
    figure = Figure(figsize=(picture.width / 96, picture.height / 96), dpi=dpi)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.axis("off")
    points = 72 / 96  # of a pixel
    for edge in picture.edges:
        axes.plot(*zip(*edge[:-1], edge[-1], strict=True), color=_EDGE, linewidth=points, zorder=1)
        axes.annotate(
            "", edge[-1], edge[-2], arrowprops={"arrowstyle": "-|>", "color": _EDGE, "shrinkA": 0, "shrinkB": 0, "linewidth": points}, zorder=1
        )
    for card in picture.cards:
        left, top = card.x - card.width / 2, card.y - card.height / 2
        head = card.height if len(card.lines) == 1 else _LINE + _PADDING / 2
        for height, color in ((card.height, "white"), (head, _HEAD)):
            style = "round,pad=0,rounding_size=4"
            axes.add_patch(
                FancyBboxPatch((left, top), card.width, height, boxstyle=style, facecolor=color, edgecolor=_EDGE, linewidth=points, zorder=2)
            )
        for number, line in enumerate(card.lines):
            middle = top + _PADDING / 2 + (number + 0.5) * _LINE
            weight = "bold" if number == 0 else "normal"
            axes.text(card.x, middle, line, ha="center", va="center", fontsize=_FONT * points, fontweight=weight, zorder=3, parse_math=False)
    with atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=dpi)
