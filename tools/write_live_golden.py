"""Write tests/book/live_golden.json: what lib says where the scripts of the live figures say it once more.

    python tools/write_live_golden.py

tests/book/test_live_figures.py compares the file with lib, and the scripts with the file.
"""

import json
from pathlib import Path

import numpy as np

from lib import (
    Network,
    PopulationLoss,
    copy_average,
    copy_average_loss,
    identify,
    kernels,
    one_neuron,
    partitions,
    perturbed_copies,
)
from lib.students.perturbed import erf_perturbed_copies

TARGET = Path(__file__).parent.parent / "tests" / "book" / "live_golden.json"


def students():
    """(k, student) of all kinds: random, with equal, opposite, idle, zero, short and long neurons."""
    rng = np.random.default_rng(7)
    for k, n, d in [(1, 1, 1), (2, 1, 3), (5, 3, 5), (8, 6, 8), (8, 8, 9), (12, 5, 12)]:
        for size in (0.05, 1.0, 5.0):
            yield k, Network(size * rng.standard_normal((n, d)), rng.standard_normal(n))
    W = rng.standard_normal((3, 4))
    yield 4, Network(W[[0, 0, 1]], [1.0, 2.0, -1.0])
    yield 4, Network(W[[0, 1, 2]] * [[1], [0], [1]], [1.0, 2.0, 0.0])
    yield 4, Network(np.vstack((W[0], -W[0])), [1.0, 0.5])
    yield 8, copy_average([1, 2, 5])
    yield 8, perturbed_copies(kernels.erf, 8, 6)


def losses_and_gradients():
    for k, student in students():
        L = PopulationLoss(Network.orthonormal(k, student.d), kernels.erf)
        yield {
            "k": k,
            "n": student.n,
            "d": student.d,
            "theta": student.ravel().tolist(),
            "loss": L(student),
            "gradient": L.gradient(student).ravel().tolist(),
        }


def copy_averages():
    for sizes in [(1,), (7,), (1, 1, 6), (2, 3, 3), (1, 1, 1, 1, 4), (5, 5), (12,)]:
        loss = float(copy_average_loss(sizes))
        yield {"sizes": sizes, "d": sum(sizes), "theta": copy_average(sizes).ravel().tolist(), "loss": loss}
    for size in (26, 1000, 10**6):
        yield {"sizes": (size,), "loss": float(copy_average_loss((size,)))}


def perturbed():
    pairs = [(k, n) for k in range(3, 9) for n in range(2, k)]
    pairs += [(20, 2), (20, 15), (50, 2), (50, 3), (50, 25), (50, 40), (50, 49), (1000, 3), (1000, 765)]
    pairs += [(10**6, 2), (10**6, 9649), (10**6, 700_000), (10**6, 10**6 - 1)]
    return [{"k": k, "n": n, **erf_perturbed_copies(k, n)._asdict()} for k, n in pairs]


def one_neurons():
    for kernel in (kernels.erf, kernels.relu):
        for k in (2, 3, 10, 50):
            best, L = one_neuron(kernel, k), PopulationLoss(Network.orthonormal(k), kernel)
            points = [(a * k, r) for a in (0.0, 0.3, 1.0, 2.5) for r in (0.01, best.r, 1.2)]
            losses = [L(Network(np.full((1, k), r / np.sqrt(k)), [a])) for a, r in points]
            yield {"activation": kernel.name, "k": k, **best._asdict(), "points": points, "losses": losses}


def recognised():
    """Students that come near an end of a flow, with the name that lib gives them."""
    rng, k = np.random.default_rng(8), 8
    L = PopulationLoss(Network.orthonormal(k), kernels.erf)
    ends = [copy_average([1, 1, 6]), copy_average([2, 3, 3]), copy_average([1] * 8), Network.orthonormal(8)]
    ends += [perturbed_copies(kernels.erf, k, n) for n in (4, 6, 7)]
    ends += [Network(rng.standard_normal((4, k)), rng.standard_normal(4)) for _ in range(3)]
    for end in ends:
        order, inputs, sign = rng.permutation(end.n), rng.permutation(k), rng.choice([-1.0, 1.0], end.n)
        W = (sign[:, None] * end.W[order])[:, inputs] + 1e-4 * rng.standard_normal((end.n, k))
        student = Network(W, sign * end.a[order])
        name = identify(L, student)
        yield {"k": k, "n": end.n, "d": k, "theta": student.ravel().tolist(), "kind": name.kind, "sizes": name.sizes}


def golden():
    """Everything, as it stands in the file."""
    pairs = [(k, n) for k in range(1, 13) for n in range(1, min(k, 8) + 1)]
    table = {
        "loss_and_gradient": list(losses_and_gradients()),
        "copy_average": list(copy_averages()),
        "partitions": [{"k": k, "n": n, "all": list(partitions(k, n))} for k, n in pairs],
        "perturbed_copies": perturbed(),
        "one_neuron": list(one_neurons()),
        "identify": list(recognised()),
    }
    return json.loads(json.dumps(table))


if __name__ == "__main__":
    TARGET.write_text(json.dumps(golden(), separators=(",", ":")) + "\n", "utf-8")
