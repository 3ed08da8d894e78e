"""The figures to move by hand: each is called at its defaults and at the ends of what a reader can choose."""

import re

import matplotlib
import numpy as np
import pytest

from lib import Network, PopulationLoss, copy_average, copy_average_loss, explore, kernels, one_neuron, perturbed_copies

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture
def shown(monkeypatch, capsys):
    """shown(function, ...): the numbers of its sentence, after checking that the figure shows finite curves."""

    def call(function, *arguments, **options):
        figures = []
        monkeypatch.setattr(plt, "show", lambda: figures.append(plt.gcf()))
        function(*arguments, **options)
        (figure,) = figures
        assert all(np.isfinite(line.get_ydata()).all() for ax in figure.axes for line in ax.lines)
        figure.canvas.draw()
        plt.close(figure)
        return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e[+-]\d+)?", capsys.readouterr().out)]

    return call


@pytest.mark.parametrize("name", ["erf", "tanh", "sigmoid", "softplus", "relu", "gelu"])
@pytest.mark.parametrize("norms", [(1.0, 1.0), (0.1, 5.0), (5.0, 0.1)])
def test_kernel_against_quadrature(shown, name, norms):
    activation = getattr(kernels, name).activation
    # Gauss and Legendre's rule on each quarter plane, so that no kink of relu at x = 0 or y = 0 lies inside a domain.
    nodes, weights = np.polynomial.legendre.leggauss(100)
    half = 4.5 * (nodes + 1)
    line, weights = np.concatenate([-half, half]), np.tile(4.5 * weights, 2)
    x, y = np.meshgrid(line, line, indexing="ij")
    density = np.outer(weights, weights) * np.exp(-(x * x + y * y) / 2) / (2 * np.pi)

    def expectation(v_along, v_across):
        return np.sum(density * activation(norms[0] * x) * activation(norms[1] * (v_along * x + v_across * y)))

    numbers = shown(explore.kernel, name, *norms)
    assert numbers == pytest.approx([expectation(1, 0), expectation(0, 1), expectation(-1, 0)], abs=1e-6)


def test_kernel_at_its_defaults(shown):
    assert shown(explore.kernel) == pytest.approx([1 / 3, 0, -1 / 3], abs=1e-6)


@pytest.mark.parametrize("sizes", [(1, 1, 4), (2, 2, 2), (1, 2, 3)])
@pytest.mark.parametrize("reach", [0.1, 3.0])
def test_valley(shown, sizes, reach):
    assert shown(explore.valley, sizes, reach) == pytest.approx([copy_average_loss(sizes)], abs=1e-6)


@pytest.mark.parametrize("k, n", [(8, 3), (2, 1), (2, 2), (4, 30), (30, 8)])
def test_sharings(shown, k, n):
    n = min(n, k)
    assert shown(explore.sharings, k, n) == pytest.approx([copy_average_loss([1] * (n - 1) + [k - n + 1])], abs=1e-6)


@pytest.mark.parametrize("name", ["erf", "tanh", "sigmoid", "softplus", "relu"])
@pytest.mark.parametrize("k", [2, 5, 100])
def test_one_neuron(shown, name, k):
    """The printed optimum is the lowest point of the drawn curve, which is computed from the kernel alone."""
    drawn = []
    plt_semilogx = plt.Axes.semilogx
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plt.Axes, "semilogx", lambda ax, r, L: drawn.append(L) or plt_semilogx(ax, r, L))
        a, r, loss = shown(explore.one_neuron, name, k)
    assert (a, r, loss) == pytest.approx(tuple(one_neuron(getattr(kernels, name), k)), abs=1e-6)
    assert drawn[0].min() == pytest.approx(loss, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("k, n", [(6, 4), (2, 1), (3, 3), (8, 7)])
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_flow(shown, k, n, law):
    (loss,) = shown(explore.flow, k, n, seed=1, law=law)
    assert 0.0 <= loss <= copy_average_loss([k]) + 1e-6


@pytest.mark.parametrize("k, n", [(50, 25), (8, 7), (10, 2), (4, 30), (20, 17)])
def test_spectrum_against_the_dense_hessian(shown, k, n):
    n = min(n, k - 1)
    L = PopulationLoss(Network.orthonormal(k), kernels.erf)
    students = copy_average([1] * (n - 1) + [k - n + 1]), perturbed_copies(kernels.erf, k, n)
    smallest = [np.linalg.eigvalsh(L.hessian(student))[0] for student in students]
    assert shown(explore.spectrum, k, n) == pytest.approx(smallest, rel=1e-6, abs=1e-11)


def test_spectrum_of_a_million(shown):
    assert all(value > 0 for value in shown(explore.spectrum, 10**6, 500_000))


@pytest.mark.parametrize("name", ["relu", "erf", "softplus", "tanh"])
@pytest.mark.parametrize("k, n", [(8, 4), (3, 2), (4, 9), (12, 11)])
def test_two_kinds(shown, name, k, n):
    """Both beat the n unperturbed copies of teachers."""
    n, kernel, teacher = min(n, k - 1), getattr(kernels, name), Network.orthonormal(k)
    averager, copies = shown(explore.two_kinds, name, k, n)
    L = PopulationLoss(teacher, kernel)
    plain = L(Network(teacher.W[:n], teacher.a[:n]))
    assert 0 < averager < plain and 0 < copies < plain
    if name == "erf":
        assert averager == pytest.approx(copy_average_loss([1] * (n - 1) + [k - n + 1]), abs=1e-6)
