"""Draw book/_static/overview.png: the question and the answer of the book in one picture.

Left: the best of the four ways in which three student neurons can share seven teacher neurons.
Right: the losses of all four, computed with lib from the networks themselves.

    python tools/draw_overview.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from lib import Network, PopulationLoss, copy_average, kernels, partitions

TARGET = Path(__file__).parent.parent / "book" / "_static" / "overview.png"
WAYS = list(partitions(7, 3))
COLOURS = ["tab:blue", "tab:orange", "tab:green"]


def draw_networks(ax, sizes):
    """Teacher neurons above, student neurons below, a line from each teacher to the student that stands for it."""
    owners = np.repeat(np.arange(len(sizes)), sizes)
    teachers = np.arange(len(owners))
    for owner, size in enumerate(sizes):
        group = teachers[owners == owner]
        place = group.mean()
        for teacher in group:
            ax.plot([teacher, place], [1, 0], color=COLOURS[owner], lw=2, alpha=0.6, zorder=1)
            ax.scatter(teacher, 1, s=420, color=COLOURS[owner], zorder=2)
        ax.scatter(place, 0, s=420 * np.sqrt(size), color=COLOURS[owner], zorder=2)
        ax.text(place, -0.30, "copies" if size == 1 else f"averages {size}", ha="center", va="top", fontsize=11)
    ax.text(-0.9, 1, "teacher\n$k = 7$", ha="right", va="center", fontsize=12)
    ax.text(-0.9, 0, "student\n$n = 3$", ha="right", va="center", fontsize=12)
    ax.set(xlim=(-2.4, 6.6), ylim=(-0.75, 1.4))
    ax.axis("off")


def draw_losses(ax):
    loss = PopulationLoss(Network.orthonormal(7), kernels.erf)
    students = [copy_average(sizes) for sizes in WAYS]
    losses = [loss(student) for student in students]
    assert all(np.abs(loss.gradient(student).ravel()).max() < 1e-13 for student in students)
    assert losses == sorted(losses)
    bars = ax.barh(range(4), losses, color=["tab:green", *["0.75"] * 3], height=0.65)
    ax.bar_label(bars, [f"{value:.4f}" for value in losses], padding=4, fontsize=11)
    ax.set_yticks(range(4), [" + ".join(map(str, sizes)) for sizes in WAYS], fontsize=12)
    ax.set_xlabel("population loss $L$", fontsize=12)
    ax.set_xlim(0, 0.104)
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title("four critical points; the best copies all but one", fontsize=11, loc="left")


def main():
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), width_ratios=(1.25, 1), layout="constrained")
    draw_networks(left, WAYS[0])
    draw_losses(right)
    fig.savefig(TARGET, dpi=110, facecolor="white")


if __name__ == "__main__":
    main()
