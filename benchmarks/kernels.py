"""Time gradients and Hessian-vector products against the bare arithmetic they cannot do without.

Then the kernels without a closed form, beside erf, and the equations of the perturbed copies.

`make bench` prints, for teachers of k and students of n neurons, microseconds and the ratio to the
matrix products, arcsines and square roots of the same arrays, timed in alternation in one run.
Read the ratios: microseconds belong to a machine and to what else it was doing.
"""

import functools
import time

import numpy as np

from lib import Network, PopulationLoss, kernels, perturbed_copies

SIZES = [(5, 50), (25, 50), (50, 50), (100, 200)]
WINDOWS = 25


def bare_gradient(W, V, a, b):
    """Four matrix products, the arcsines of the two tables and the square roots that scale them."""
    aW, bV = a[:, None] * W, b[:, None] * V

    def work():
        own, cross = W @ W.T, W @ V.T
        for table in (own, cross):
            np.arcsin(table)
            np.sqrt(table)
        own @ aW, cross @ bV

    # Arcsines and roots of numbers outside [0, 1] would time the handling of NaN.
    W, V = (0.99 * np.abs(X) / np.linalg.norm(X, axis=1, keepdims=True) for X in (W, V))
    return work


def bare_product(W, V, U):
    """The five matrix products of a Hessian-vector product; it needs no arcsine and no root."""
    own, cross = W @ W.T, W @ V.T

    def work():
        U @ W.T, U @ V.T
        own @ W, own @ U, cross @ V

    return work


def best_microseconds(*works):
    """The fastest of many short windows for each piece of work, the windows interleaved."""
    repeats = [max(1, int(0.004 / seconds(work, 3))) for work in works]
    best = [np.inf] * len(works)
    for _ in range(WINDOWS):
        for index, (work, repeat) in enumerate(zip(works, repeats, strict=True)):
            best[index] = min(best[index], seconds(work, repeat))
    return [1e6 * value for value in best]


def seconds(work, repeat):
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    return (time.perf_counter() - start) / repeat


def others(rng):
    """Gradients under the kernels without a closed form, beside erf; and a pair that takes the rule in the plane."""
    own = kernels.Kernel.from_activation(np.tanh)
    student = Network(rng.standard_normal((100, 200)) / np.sqrt(200), rng.standard_normal(100))
    losses = [
        PopulationLoss(Network.orthonormal(200), kernel)
        for kernel in (kernels.erf, kernels.tanh, kernels.softplus, kernels.sigmoid, own)
    ]
    erf, *used = best_microseconds(*(functools.partial(loss.gradient, student) for loss in losses))
    for loss, time_used in zip(losses[1:], used, strict=True):
        ratio = time_used / erf
        print(f"a gradient at n = 100, k = 200 under {loss.kernel!r}: {ratio:.0f} times that of erf")
    hinge = kernels.Kernel.from_activation(lambda y: np.maximum(y, 1.0), kinks=[1.0], name="max(y, 1)")
    (used,) = best_microseconds(lambda: hinge.gradient(4.0, 4.0, 4.0))
    print(f"a pair of equal vectors under {hinge!r}: {1e-3 * used:.1f} ms")


def solutions():
    for k, n in ((10, 3), (100, 3), (1000, 3), (1000, 500), (1000, 999)):
        (used,) = best_microseconds(lambda: perturbed_copies(kernels.erf, k, n))
        print(f"perturbed copies of k = {k}, n = {n}: {1e-3 * used:.1f} ms")


def main():
    rng = np.random.default_rng(0)
    print("   n    k  |  gradient us  bare us  ratio  |  product us  bare us  ratio  |  set-up us")
    for n, k in SIZES:
        teacher = Network.orthonormal(k, k + 1)
        student = Network(rng.standard_normal((n, k + 1)) / np.sqrt(k), rng.standard_normal(n))
        loss = PopulationLoss(teacher, kernels.erf)
        operator = loss.hessian_operator(student)
        direction = rng.standard_normal(operator.shape[0])
        U = direction[: student.W.size].reshape(student.W.shape)
        gradient, bare, product, bare_p, setup = best_microseconds(
            lambda: loss.gradient(student),
            bare_gradient(student.W, teacher.W, student.a, teacher.a),
            lambda: operator.matvec(direction),
            bare_product(student.W, teacher.W, U),
            lambda: loss.hessian_operator(student),
        )
        print(
            f"{n:>4} {k:>4}  | {gradient:>12.1f} {bare:>8.1f} {gradient / bare:>6.2f}  |"
            f" {product:>11.1f} {bare_p:>8.1f} {product / bare_p:>6.2f}  | {setup:>10.1f}"
        )
    others(rng)
    solutions()


if __name__ == "__main__":
    main()
