"""Time whole gradient flows: ours, what SciPy offers instead, and how the cost grows.

    python -m benchmarks.flow            one flow, its competitors, growth with k (a few minutes)
    python -m benchmarks.flow 1000 300   one flow of that k and n, with the memory of its process

Seconds are processor time of one thread (OPENBLAS_NUM_THREADS=1), the least of several runs: read the
ratios. Every flow starts Glorot-normal from default_rng([k, n, 0]) and ends at |grad L| <= 1e-8.
"""

import resource
import sys
import time

import numpy as np
from scipy.integrate import BDF, LSODA

from benchmarks.kernels import bare_gradient, bare_product, best_microseconds
from lib import Network, PopulationLoss, certify, glorot, gradient_flow, kernels
from lib.descent.ndf import NDF
from lib.networks import split

BUDGET = 120.0  # seconds after which a competitor is stopped and its time is a lower bound


def losses(k):
    """The NumPy loss and, where numba is installed, the compiled one, by name."""
    teacher = Network.orthonormal(k, k + 1)
    found = {"NumPy": PopulationLoss(teacher, kernels.erf)}
    try:
        from lib.fast.compiled import CompiledLoss
    except ImportError:
        return found
    found["compiled"] = CompiledLoss(teacher)
    gradient_flow(found["compiled"], start(k, 1), max_steps=3)  # loads what is compiled
    return found


def start(k, n):
    return glorot(np.random.default_rng([k, n, 0]), n, k + 1)


def seconds(work, repeats):
    """Least processor time of several runs, and the last result."""
    best = np.inf
    for _ in range(repeats):
        begin = time.process_time()
        result = work()
        best = min(best, time.process_time() - begin)
    return best, result


def scipy_seconds(solver, L, student, **options):
    """Processor time of a SciPy integrator of the same tolerances, and |grad L| where it ended."""

    def slope(_, theta):
        return -L.value_and_gradient(*split(theta, n, d))[1]

    n, d = student.n, student.d
    begin = time.process_time()
    integrator = solver(slope, 0.0, student.ravel(), np.inf, rtol=1e-5, atol=1e-6, **options)
    norm = np.inf
    while norm > 1e-8 and integrator.status == "running" and time.process_time() - begin < BUDGET:
        integrator.step()
        norm = np.linalg.norm(slope(0.0, integrator.y))
    return time.process_time() - begin, norm


def competitors(k, n):
    found, student = losses(k), start(k, n)
    ours = {}
    for name, L in found.items():
        ours[name], flow = seconds(lambda L=L, name=name: gradient_flow(L, student, compiled=name == "compiled"), 5)
        print(f"{n:>4} {k:>4}  ours, {name:<12} {ours[name]:>9.3f} s  {flow.counts}")
    plain = found["NumPy"]

    def jacobian(_, theta):
        return -plain.hessian(Network.unravel(theta, n, k + 1))

    for name, solver, options in [
        ("BDF, dense Hessian", BDF, dict(jac=jacobian)),
        ("LSODA, differences", LSODA, {}),
    ]:
        used, norm = scipy_seconds(solver, plain, student, **options)
        sign = " " if norm <= 1e-8 else ">"
        ratios = ", ".join(f"{sign}{used / value:.0f} x ours, {which}" for which, value in ours.items())
        print(f"{n:>4} {k:>4}  SciPy {name} {sign}{used:>8.1f} s  |grad L| = {norm:.0e}  {ratios}")


def growth():
    """Of the fastest loss. Arithmetic: the bare one of as many gradients and products. NDF: the steps in Python."""
    print("   k    n     seconds   per n^2 k [us]  steps  gradients  products  times the arithmetic  with NDF's steps")
    for k, n in ((25, 12), (50, 5), (50, 25), (100, 50), (200, 100), (400, 200)):
        L, repeats = list(losses(k).values())[-1], 3 if k < 200 else 1
        used, flow = seconds(lambda L=L, k=k, n=n: gradient_flow(L, start(k, n)), repeats)
        plain, _ = seconds(lambda L=L, k=k, n=n: stepwise(L, start(k, n)), repeats)
        print(
            f"{k:>4} {n:>4}  {used:>10.3f}  {1e6 * used / (n * n * k):>14.2f}  {'  '.join(map(str, flow.counts))}"
            f"  {used / arithmetic(L.teacher, flow):.2f}  {plain / used:.2f}"
        )


def stepwise(L, student):
    """The same flow by the steps of NDF, which are compiled for no loss."""
    integrator = NDF(L, student.W, student.a, 1e-5)
    while integrator.point.gradient_norm > 1e-8:
        integrator.step()


def arithmetic(teacher, flow):
    """Seconds of the matrix products, arcsines and roots that the flow's gradients and Hessian products are."""
    W, a = flow.student.W, flow.student.a
    works = bare_gradient(W, teacher.W, a, teacher.a), bare_product(W, teacher.W, np.ones_like(W))
    return 1e-6 * np.dot(best_microseconds(*works), [flow.counts.gradients, flow.counts.products])


def large(k, n):
    L = list(losses(k).values())[-1]
    used, flow = seconds(lambda: gradient_flow(L, start(k, n)), 1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"k = {k}, n = {n}: {used:.1f} s, {memory:.2f} GB, {flow.status}, {flow.counts}, loss {flow.losses[-1]:.9f}")
    used, certificate = seconds(lambda: certify(L, flow.student), 1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"certificate: {used:.1f} s, {memory:.2f} GB, {certificate[:3]}")


def main():
    if len(sys.argv) == 3:
        return large(*map(int, sys.argv[1:]))
    competitors(50, 5)
    competitors(50, 25)
    growth()


if __name__ == "__main__":
    main()
