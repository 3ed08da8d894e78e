"""Draw the pictures that stand for the live figures in print, in PDF and where no scripts run: book/_static/live_*.png.

    python tools/draw_live_figures.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from tabulate_flow_ends import ON_THE_MAP, ends
from tabulate_training_fates import SCALES, WAYS, fates, interval

from lib import (
    Network,
    PopulationLoss,
    copy_average_loss,
    glorot,
    gradient_flow,
    kernels,
    one_neuron,
    partitions,
    perturbed_copies,
    phase_boundaries,
)
from lib.figures import AVERAGE, COPY, OTHER

FOLDER = Path(__file__).parent.parent / "book" / "_static"


def draw_one_neuron(k=8):
    """The loss over (a, r) at equal angles, in the bands of the live figure."""
    best, kernel = one_neuron(kernels.erf, k), kernels.erf
    a, r = np.linspace(0, 2.5 * k, 200), np.linspace(0.005, 2.6 * best.r, 200)[:, None]
    G, T = kernel(r**2, r**2, r**2), kernel(r / np.sqrt(k), r**2, 1.0)
    loss = a**2 * G - 2 * a * k * T + k / 3
    levels = [1, 1.1, 1.5, 2, 3, 5, 10, 20, 50, 100]
    fig, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
    image = ax.contourf(a, r[:, 0], loss / best.loss, levels, norm="log", extend="max")
    ax.plot(k * T / G, r, "w--", lw=1)
    ax.plot(best.a, best.r, "wx", ms=8, mew=2)
    ax.set(xlabel="outgoing weight $a$", ylabel="length $r$", xlim=(0, 2.5 * k), ylim=(0, 2.6 * best.r))
    fig.colorbar(image, label="loss / lowest loss").set_ticks(levels, labels=map(str, levels), minor=False)
    return fig


def draw_copy_or_average(k=8, n=3):
    """All partitions, best on top, cut into copies (blue) and averages (orange)."""
    fig, ax = plt.subplots(figsize=(5.6, 2.6), layout="constrained")
    ranked = sorted(partitions(k, n), key=copy_average_loss)
    for y, sizes in enumerate(ranked):
        for l, end in zip(sizes, np.cumsum(sizes), strict=True):
            ax.barh(y, l, 0.7, left=end - l, color=COPY if l == 1 else AVERAGE, alpha=0.6, edgecolor="white", lw=2)
            ax.text(end - l / 2, y, l, ha="center", va="center")
    ax.set_yticks(range(len(ranked)), [f"{copy_average_loss(sizes):.4f}" for sizes in ranked])
    ax.set(xlabel="teacher neurons, in groups", ylabel="loss $L$", frame_on=False, ylim=(len(ranked) - 0.5, -0.5))
    return fig


def draw_flow(k=8, n=6, seeds=(0, 2)):
    """Loss against time from two starts that end at different minima."""
    L = PopulationLoss(Network.orthonormal(k), kernels.erf)
    levels = copy_average_loss([1] * (n - 1) + [k - n + 1]), L(perturbed_copies(kernels.erf, k, n))
    flows = [gradient_flow(L, glorot(np.random.default_rng([k, n, seed]), n, k)) for seed in seeds]
    fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), layout="constrained")
    for ax in axes:
        for flow in flows:
            end = np.argmin(np.abs(np.array(levels) - flow.losses[-1]))
            assert abs(flow.losses[-1] - levels[end]) < 1e-9, flow.losses[-1]
            ax.plot(flow.times[1:], flow.losses[1:], color=(AVERAGE, COPY)[end], lw=2)
        for level, color in zip(levels, (AVERAGE, COPY), strict=True):
            ax.axhline(level, color=color, ls="--", lw=1)
        ax.set(xscale="log", xlabel="time $t$", xlim=(0.01, 1e5))
    axes[0].set(yscale="log", ylabel="loss $L$")
    axes[1].set(ylim=(levels[0] - 0.004, levels[1] + 0.012))
    axes[1].text(0.02, levels[0] - 0.0012, "copy-average")
    axes[1].text(0.02, levels[1] + 0.0004, "perturbed copies")
    return fig


def draw_two_for_three(seeds=(1, 2, 3)):
    """Loss against time for two student neurons and three teacher neurons, from three starts."""
    L = PopulationLoss(Network.orthonormal(3), kernels.erf)
    level = copy_average_loss([1, 2])
    fig, ax = plt.subplots(figsize=(5.6, 3.0), layout="constrained")
    for seed in seeds:
        flow = gradient_flow(L, glorot(np.random.default_rng([3, 2, seed]), 2, 3))
        assert abs(flow.losses[-1] - level) < 1e-9, flow.losses[-1]
        ax.loglog(flow.times[1:], flow.losses[1:], color=AVERAGE, lw=2)
    ax.axhline(level, color=AVERAGE, ls="--", lw=1)
    ax.text(0.012, 0.9 * level, "copy-average", va="top")
    ax.set(xlabel="time $t$", ylabel="loss $L$", xlim=(0.01, 1e4), ylim=(0.5 * level, None))
    return fig


def draw_phase_diagram():
    """The regions over k and n / k and the ends of the stored flows, as in the live figure when it opens."""
    k = np.geomspace(7, 1000, 60)
    n = np.stack([0 * k, *np.array([phase_boundaries(each) for each in k.tolist()]).T, k])
    regions = [
        ("only copy-average\nis a minimum", AVERAGE, 0.6, 0.08),
        ("both are minima,\ncopy-average lower", AVERAGE, 0.22, 0.48),
        ("both are minima,\ncopies lower", COPY, 0.2, 0.87),
        ("", COPY, 0.5, 0.0),
    ]
    fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for (name, color, alpha, y), low, high in zip(regions, n[:-1] / k, n[1:] / k, strict=True):
        ax.fill_between(k, low, high, color=color, alpha=alpha, lw=0)
        ax.text(930, y, name, ha="right", va="center")
    ax.plot(k, (n[1:4] / k).T, "k", lw=1)
    for teachers in ON_THE_MAP:
        at = ends(teachers)
        flows, left = np.array(at["flows"]), np.full(len(at["widths"]), teachers / 1.09)
        rest = flows - at["average"] - at["copies"]
        for count, color in [(at["average"], AVERAGE), (at["copies"], COPY), (rest, OTHER)]:
            right = left * 1.19 ** (count / flows)
            bars = np.array(at["widths"]) / teachers
            ax.barh(bars, right - left, 0.014, left=left, color=color, ec="white", lw=0.6)
            left = right
    ax.set_title("only perturbed copies are a minimum ↓", loc="left", fontsize=10)
    ticks = [10, 20, 50, 100, 200, 500, 1000]
    ax.set(xscale="log", xlabel="teacher neurons $k$", ylabel="$n/k$", xlim=(7, 1000), ylim=(0, 1))
    ax.set_xticks(ticks, ticks)
    ax.set_xticks([], minor=True)
    return fig


def draw_training_fates(size="8,6"):
    """The fates of the stored runs for each way to train, against the scale of all initial weights."""
    fig, axes = plt.subplots(1, len(WAYS), figsize=(7.2, 2.6), sharey=True, layout="constrained")
    for ax, (way, cells) in zip(axes, fates()[size].items(), strict=True):
        for power in np.log2(SCALES).astype(int).tolist():
            if cell := cells.get(f"{power},{power}"):
                below, runs = 0.0, sum(cell[:3])
                for count, color in zip(cell, (COPY, AVERAGE, OTHER), strict=False):
                    ax.bar(power, count / runs, 0.8, bottom=below, color=color)
                    below += count / runs
                low, high = interval(cell[0], runs)
                ax.errorbar(power, low, [[0], [high - low]], color="black", capsize=2, lw=1)
        ax.set_title(way.replace(", ", "\n"), fontsize=10)
        ax.set_xticks([-5, -2, 0, 2], ["1/32", "1/4", "1", "4"], fontsize=8)
    axes[0].set(ylabel="fraction of runs", ylim=(0, 1))
    fig.supxlabel("scale of all initial weights", fontsize=10)
    return fig


FIGURES = {
    "live_one_neuron": draw_one_neuron,
    "live_copy_or_average": draw_copy_or_average,
    "live_watch_the_flow": draw_flow,
    "live_two_for_three": draw_two_for_three,
    "live_phase_diagram": draw_phase_diagram,
    "live_training_fates": draw_training_fates,
}

if __name__ == "__main__":
    for name, draw in FIGURES.items():
        draw().savefig(FOLDER / f"{name}.png", dpi=110, facecolor="white")
