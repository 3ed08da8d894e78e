"""One figure per chapter to move by hand, for readers with a running kernel.

Each function draws one figure and prints one sentence with its numbers. A chapter hands it to
``ipywidgets.interact``; it can be called on its own as well. Needs matplotlib, which lib does not.
"""

import numpy as np

from lib import kernels
from lib.arguments import integer, real, shown
from lib.descent.flow import glorot, gradient_flow
from lib.figures import AVERAGE, COPY
from lib.loss import PopulationLoss
from lib.networks import Network
from lib.students.averaging import copy_average, copy_average_like, copy_average_loss, partitions
from lib.students.perturbed import perturbed_copies
from lib.students.recognition import identify
from lib.students.single import one_neuron as best_neuron
from lib.students.spectrum import copy_average_spectrum, perturbed_copies_spectrum

_SIZE = (6.4, 3.4)
_NAMES = ("erf", "relu", "gelu", "tanh", "sigmoid", "softplus")


def _kernel(name):
    if not isinstance(name, str) or name not in _NAMES:
        raise ValueError(f"name must be one of {', '.join(_NAMES)}, got {shown(name)}")
    return getattr(kernels, name)


def _at_most(name, value, most):
    """value, or the largest one that there is a figure of: sliders know nothing of each other."""
    if integer(name, value, least=1) <= most:
        return value
    print(f"{name} = {most}, the largest here, in place of {shown(value)}")
    return most


def kernel(name="erf", student_norm=1.0, teacher_norm=1.0):
    """The kernel over the angle between two incoming vectors.

    Parameters
    ----------
    name : str
        Of one of the six kernels.
    student_norm, teacher_norm : float
        Lengths of the vectors.

    Examples
    --------
    >>> explore.kernel("relu")
    relu: g = 0.500000 at equal, 0.159155 at orthogonal, 0.000000 at opposite directions
    """
    import matplotlib.pyplot as plt

    kernel = _kernel(name)
    student_norm = real("student_norm", student_norm, 0.0, 1e3)
    teacher_norm = real("teacher_norm", teacher_norm, 0.0, 1e3)
    angle = np.linspace(0.0, np.pi, 181)
    g = kernel(student_norm * teacher_norm * np.cos(angle), student_norm**2, teacher_norm**2)
    _, ax = plt.subplots(figsize=_SIZE, layout="constrained")
    ax.plot(np.degrees(angle), g)
    ax.axhline(0.0, color="0.7", lw=0.8)
    ax.set(
        xlabel="angle in degrees",
        ylabel="$E[\\sigma(w\\cdot x)\\,\\sigma(v\\cdot x)]$",
        xticks=range(0, 181, 45),
    )
    values = f"{g[0]:.6f} at equal, {g[90]:.6f} at orthogonal, {g[-1]:.6f} at opposite directions"
    print(f"{name}: g = {values}")
    plt.show()


def valley(sizes=(1, 1, 4), reach=1.0):
    """The loss from a copy-average along the softest and the stiffest eigenvector of its Hessian.

    Parameters
    ----------
    sizes : tuple of int
        As for `copy_average`.
    reach : float
        How far to go.

    Examples
    --------
    >>> explore.valley((1, 2))
    groups (1, 2): loss 0.023222, 0 ways down
    """
    import matplotlib.pyplot as plt

    student, reach = copy_average(sizes), real("reach", reach, 0.0, 1e3)
    L = PopulationLoss(Network.orthonormal(student.d), kernels.erf)
    eigenvalues, directions = np.linalg.eigh(L.hessian(student))
    steps = np.linspace(-reach, reach, 101)
    _, ax = plt.subplots(figsize=_SIZE, layout="constrained")
    for which, label in [(0, "softest"), (-1, "stiffest")]:
        path = student.ravel() + np.multiply.outer(steps, directions[:, which])
        losses = [L(Network.unravel(theta, student.n, student.d)) for theta in path]
        ax.plot(steps, losses, label=f"{label}: eigenvalue {eigenvalues[which]:.2e}")
    ax.set(xlabel="distance from the copy-average", ylabel="loss $L$")
    ax.legend()
    print(f"groups {sizes}: loss {L(student):.6f}, {(eigenvalues < -1e-10).sum()} ways down")
    plt.show()


def sharings(k=8, n=3):
    """The losses of all partitions of k teacher neurons, in order, and that of perturbed copies.

    Parameters
    ----------
    k, n : int

    Examples
    --------
    >>> explore.sharings(6, 3)
    best of 3 partitions: (1, 1, 4), loss 0.056755
    """
    import matplotlib.pyplot as plt

    n = _at_most("n", n, integer("k", k, least=1))
    groups = sorted(partitions(k, n), key=copy_average_loss)
    losses = copy_average_loss(np.array(groups))
    _, ax = plt.subplots(figsize=_SIZE, layout="constrained")
    ax.plot(np.arange(1, len(losses) + 1), losses, "o", ms=3, color=AVERAGE, label="copy-average")
    if 2 <= n < k:
        L = PopulationLoss(Network.orthonormal(k), kernels.erf)
        rival = L(perturbed_copies(kernels.erf, k, n))
        ax.axhline(rival, color=COPY, label=f"perturbed copies {rival:.6f}")
    ax.set(xlabel="rank of the partition", ylabel="loss $L$")
    ax.legend()
    print(f"best of {len(groups)} partitions: {groups[0]}, loss {losses[0]:.6f}")
    plt.show()


def one_neuron(name="erf", k=5):
    """The loss of one neuron at equal angles over its length, at the best outgoing weight.

    Parameters
    ----------
    name : str
        Of one of the six kernels.
    k : int
        Teacher neurons.

    Examples
    --------
    >>> explore.one_neuron("erf", 5)
    erf, k = 5: a = 5.000000, r = 0.333333, loss 0.072453
    """
    import matplotlib.pyplot as plt

    kernel = _kernel(name)
    best = best_neuron(kernel, k)
    r = best.r * np.geomspace(0.1, 10.0, 201)
    overlap, own = kernel(r / np.sqrt(k), r * r, 1.0), kernel(r * r, r * r, r * r)
    teachers = kernel(1.0, 1.0, 1.0) * k + kernel(0.0, 1.0, 1.0) * k * (k - 1)
    _, ax = plt.subplots(figsize=_SIZE, layout="constrained")
    ax.semilogx(r, teachers - (k * overlap) ** 2 / own)
    ax.plot(best.r, best.loss, "o", color=AVERAGE)
    ax.set(xlabel="length $r=|w|$", ylabel="loss $L$ at the best $a$")
    print(f"{name}, k = {k}: a = {best.a:.6f}, r = {best.r:.6f}, loss {best.loss:.6f}")
    plt.show()


def flow(k=6, n=4, seed=0, law="normal"):
    """A gradient flow of an erf student from `glorot`: its loss, and the cosines where it ends.

    Parameters
    ----------
    k, n : int
        Teacher and student neurons.
    seed : int
    law : str
        As for `glorot`.

    Examples
    --------
    >>> explore.flow(k=3, n=2)
    converged at copy-average (1, 2): loss 0.023222
    """
    import matplotlib.pyplot as plt

    n = _at_most("n", n, integer("k", k, least=1))
    seed = integer("seed", seed, least=0)
    L = PopulationLoss(Network.orthonormal(k), kernels.erf)
    run = gradient_flow(L, glorot(np.random.default_rng(seed), n, k, law))
    cosines = run.student.W / np.linalg.norm(run.student.W, axis=1, keepdims=True)
    _, (left, right) = plt.subplots(1, 2, figsize=_SIZE, layout="constrained")
    left.loglog(run.times[1:], run.losses[1:])
    left.set(xlabel="time", ylabel="loss $L$")
    cosines *= np.sign(run.student.a)[:, None]
    right.imshow(cosines, cmap="PRGn", vmin=-1, vmax=1, aspect="auto")
    right.set(xlabel="teacher neuron $j$", ylabel="student neuron $i$", title="cosines at the end")
    end = identify(L, run.student)
    where = f"{end.kind} {end.sizes}" if end.sizes else end.kind
    print(f"{run.status} at {where}: loss {run.losses[-1]:.6f}")
    plt.show()


def spectrum(k=50, n=25):
    """The Hessian's eigenvalues at optimal copy-average and perturbed copies; hollow if negative.

    Parameters
    ----------
    k, n : int
        Teacher and student neurons.

    Examples
    --------
    >>> explore.spectrum(50, 25)
    k = 50, n = 25: smallest 5.558955e-06 at copy-average, 1.277946e-04 at perturbed copies
    """
    import matplotlib.pyplot as plt

    n = _at_most("n", n, integer("k", k, least=2) - 1)
    _, ax = plt.subplots(figsize=_SIZE, layout="constrained")
    softest = []
    for height, blocks in enumerate([copy_average_spectrum(k, n), perturbed_copies_spectrum(k, n)]):
        values = np.array([value for block in blocks for value in block.eigenvalues])
        softest.append(values.min())
        color = (AVERAGE, COPY)[height]
        fill = np.where(values < 0, "none", color)
        ax.scatter(abs(values), 0 * values + height, facecolor=fill, edgecolor=color)
    ax.set(xscale="log", xlabel="size of the eigenvalue", ylim=(-0.5, 1.5))
    ax.set_yticks([0, 1], ["copy-average", "perturbed copies"])
    smallest = f"{softest[0]:.6e} at copy-average, {softest[1]:.6e} at perturbed copies"
    print(f"k = {k}, n = {n}: smallest {smallest}")
    plt.show()


def two_kinds(name="relu", k=8, n=4):
    """Two kinds of student, copies with one average and copies only, as heat maps of a_i w_i.

    Parameters
    ----------
    name : str
        Of one of the six kernels.
    k, n : int
        Teacher and student neurons.

    Examples
    --------
    >>> explore.two_kinds("relu", k=8, n=4)
    relu: loss 0.781450 with an average, 0.786409 with copies only
    """
    import matplotlib.pyplot as plt

    n, kernel = _at_most("n", n, integer("k", k, least=2) - 1), _kernel(name)
    L = PopulationLoss(Network.orthonormal(k), kernel)
    students = [copy_average_like(kernel, k, n), perturbed_copies(kernel, k, n)]
    _, axes = plt.subplots(1, 2, figsize=_SIZE, layout="constrained")
    for ax, student, title in zip(axes, students, ["with an average", "copies only"], strict=True):
        strength = student.a[:, None] * student.W
        ax.imshow(strength, cmap="PRGn", vmin=-2, vmax=2, aspect="auto")
        ax.set(title=f"{title}: $L$ = {L(student):.6f}")
        ax.set(xlabel="teacher neuron $j$", ylabel="student neuron $i$")
    losses = f"{L(students[0]):.6f} with an average, {L(students[1]):.6f} with copies only"
    print(f"{name}: loss {losses}")
    plt.show()
