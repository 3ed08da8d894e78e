"""Draw book/_static/overview.png, the first page's figure in one picture: both answers, and where training goes.

Above: copy-average and perturbed copies for a teacher of 8 neurons and a student of 6, with their losses. Below: where
the stored flows of the teacher with 50 neurons ended, for each number of student neurons.

    python tools/draw_overview.py
"""

import math
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image
from tabulate_flow_ends import ends

from lib import Network, PopulationLoss, copy_average, kernels, perturbed_copies
from lib.figures import AVERAGE, COPY, draw_student

TARGET = Path(__file__).parent.parent / "book" / "_static" / "overview.png"
WIDTH = 5.0  # inches; on a phone the picture is 343 pixels wide, and 12 points are then 11.4 pixels
TEXT = 12


def draw_answers(axes, k=8, n=6):
    loss = PopulationLoss(Network.orthonormal(k), kernels.erf)
    answers = {
        "copy-average": (copy_average([1] * (n - 1) + [k - n + 1]), ["copy"] * (n - 1) + ["average"]),
        "perturbed copies": (perturbed_copies(kernels.erf, k, n), ["copy"] * n),
    }
    for ax, (name, (student, roles)) in zip(axes, answers.items(), strict=True):
        draw_student(ax, student, k, roles, spacing=72 * 0.46 * WIDTH / (k + 1))
        ax.set_title(f"{name}\nloss {loss(student):.4f}", fontsize=TEXT)


def draw_ends(ax, k=50):
    table = ends(k)
    flows = table["flows"][0]
    ax.bar(table["widths"], table["average"], 1.0, color=AVERAGE, lw=0)
    ax.bar(table["widths"], table["copies"], 1.0, bottom=table["average"], color=COPY, lw=0)
    better = math.ceil(table["losses_equal"])
    ax.axvline(table["losses_equal"], color="black", lw=2)
    ax.text(12, flows / 2, "copy-average", ha="center", va="center", fontsize=TEXT)
    ax.text(31, flows / 2, "perturbed\ncopies", ha="center", va="center", fontsize=TEXT, color="white")
    note = f"perturbed copies have the lower loss from $n={better}$ on"
    ax.text(k - 0.5, flows * 1.04, note, ha="right", va="bottom", fontsize=TEXT)
    ax.set(xlim=(1.5, k - 0.5), ylim=(0, flows), yticks=[0, flows], xticks=[2, 10, 20, 30, 40, 49])
    ax.tick_params(labelsize=TEXT)
    ax.set_xlabel(f"student neurons $n$, for $k={k}$ teacher neurons", fontsize=TEXT)
    ax.set_ylabel("flows", fontsize=TEXT)


def draw():
    fig = plt.figure(figsize=(WIDTH, 4.3), layout="constrained")
    axes = fig.subplot_mosaic([["average", "copies"], ["ends", "ends"]], height_ratios=(1.1, 1))
    draw_answers([axes["average"], axes["copies"]])
    draw_ends(axes["ends"])
    return fig


if __name__ == "__main__":
    draw().savefig(TARGET, dpi=220, facecolor="white")
    Image.open(TARGET).convert("RGB").quantize(64).save(TARGET, optimize=True)  # a fifth of the bytes
