"""The figures to move by hand: each is called at its defaults and at the ends of what a reader can choose."""

import re

import matplotlib
import numpy as np
import pytest

from lib import (
    Network,
    PopulationLoss,
    copy_average,
    copy_average_like,
    copy_average_loss,
    explore,
    glorot,
    gradient_flow,
    kernels,
    one_neuron,
    perturbed_copies,
)

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

DRAWN = set()


@pytest.fixture
def shown(monkeypatch, capsys):
    """shown(function, ...): the numbers of its sentence, after checking that the figure shows finite curves.

    shown.axes are those of the figure then, and shown.sentence is the sentence.
    """

    def call(function, *arguments, **options):
        figures = []
        monkeypatch.setattr(plt, "show", lambda: figures.append(plt.gcf()))
        function(*arguments, **options)
        (figure,) = figures
        assert all(np.isfinite(line.get_ydata()).all() for ax in figure.axes for line in ax.lines)
        if function not in DRAWN:  # its texts and their places are found then, which takes longest
            figure.canvas.draw()
            DRAWN.add(function)
        plt.close(figure)
        call.axes, call.sentence = figure.axes, capsys.readouterr().out
        return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e[+-]\d+)?", call.sentence)]

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


def test_the_kernel_is_drawn_over_degrees(shown):
    """By hand: at an angle t, erf has (2/pi) arcsin(p q cos t / sqrt((1 + p^2)(1 + q^2))) for lengths p, q."""
    shown(explore.kernel, "erf", 2.0, 0.5)
    curve, zero = shown.axes[0].lines
    degrees, g = curve.get_data()
    np.testing.assert_allclose(degrees, np.arange(181.0))
    np.testing.assert_allclose(g, 2 / np.pi * np.arcsin(np.cos(np.radians(degrees)) / np.sqrt(5.0 * 1.25)), atol=1e-14)
    assert set(zero.get_ydata()) == {0.0} and shown.axes[0].get_xticks().tolist() == [0, 45, 90, 135, 180]


@pytest.mark.parametrize(("sizes", "ways_down"), [((1, 1, 4), 0), ((2, 2), 2), ((1, 2, 3), 1)])
def test_the_valley_is_drawn_along_eigenvectors(shown, sizes, ways_down):
    """Witness: a smallest and a largest second difference, which the dense spectrum gives too."""
    (loss,) = shown(explore.valley, sizes, 1e-2)[:1]
    student = copy_average(sizes)
    eigenvalues = np.linalg.eigvalsh(PopulationLoss(Network.orthonormal(student.d), kernels.erf).hessian(student))
    assert f"{ways_down} ways down" in shown.sentence and (eigenvalues < -1e-10).sum() == ways_down
    for line, eigenvalue, name in zip(shown.axes[0].lines, eigenvalues[[0, -1]], ["softest", "stiffest"], strict=True):
        steps, losses = line.get_data()
        np.testing.assert_allclose(steps, np.linspace(-1e-2, 1e-2, 101), atol=1e-16)
        assert losses[50] == pytest.approx(loss, abs=1e-6)
        curvature = (losses[0] - 2 * losses[50] + losses[-1]) / 1e-4
        assert curvature == pytest.approx(eigenvalue, rel=1e-2, abs=1e-3)
        assert line.get_label() == f"{name}: eigenvalue {eigenvalue:.2e}"


@pytest.mark.parametrize("sizes", [(1, 1, 4), (2, 2, 2), (1, 2, 3)])
@pytest.mark.parametrize("reach", [0.1, 3.0])
def test_valley(shown, sizes, reach):
    assert shown(explore.valley, sizes, reach) == pytest.approx([copy_average_loss(sizes)], abs=1e-6)


@pytest.mark.parametrize("k, n", [(8, 3), (2, 1), (2, 2), (4, 30), (30, 8)])
def test_sharings(shown, k, n):
    groups = min(n, k)
    best = copy_average_loss([1] * (groups - 1) + [k - groups + 1])
    assert shown(explore.sharings, k, n) == pytest.approx([best], abs=1e-6)


@pytest.mark.parametrize(("k", "n", "count"), [(6, 3, 3), (3, 2, 1), (4, 4, 1), (3, 1, 1)])
def test_sharings_are_drawn_in_order(shown, k, n, count):
    """By hand: 6 = 1 + 1 + 4 = 1 + 2 + 3 = 2 + 2 + 2. The rival is drawn where there are perturbed copies."""
    shown(explore.sharings, k, n)
    points, *rival = shown.axes[0].lines
    ranks, losses = points.get_data()
    assert ranks.tolist() == list(range(1, count + 1)) and f"best of {count} partitions" in shown.sentence
    L = PopulationLoss(Network.orthonormal(k), kernels.erf)
    best = copy_average([1] * (n - 1) + [k - n + 1])
    assert losses[0] == pytest.approx(L(best), abs=1e-12) and (np.diff(losses) > 0).all()
    if k == 6:
        np.testing.assert_allclose(losses[1:], [L(copy_average([1, 2, 3])), L(copy_average([2, 2, 2]))], atol=1e-12)
    assert len(rival) == (2 <= n < k)
    for line in rival:
        np.testing.assert_allclose(line.get_ydata(), L(perturbed_copies(kernels.erf, k, n)), rtol=1e-12)
        assert line.get_label() == f"perturbed copies {line.get_ydata()[0]:.6f}"


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_the_curve_of_one_neuron_is_the_loss_at_the_best_outgoing_weight(shown, name):
    """Witness: the loss of a network is a parabola in a, which three values of the public loss give."""
    _, best_r, best_loss = shown(explore.one_neuron, name, 3)
    curve, optimum = shown.axes[0].lines
    r, losses = curve.get_data()
    assert (r[0], r[100], r[-1]) == pytest.approx((0.1 * best_r, best_r, 10 * best_r), rel=1e-5) and len(r) == 201
    L = PopulationLoss(Network.orthonormal(3), getattr(kernels, name))
    for i in (0, 70, 100, 200):
        w = np.full((1, 3), r[i] / np.sqrt(3))
        below, middle, above = (L(Network(w, [a])) for a in (-1.0, 0.0, 1.0))
        lowest = middle - (above - below) ** 2 / (8 * (above - 2 * middle + below))
        assert losses[i] == pytest.approx(lowest, rel=1e-9)
    assert np.ravel(optimum.get_data()) == pytest.approx([best_r, best_loss], abs=1e-6)


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


@pytest.mark.parametrize("k, n", [(6, 4), (2, 1), (3, 3), (8, 7), (2, 9)])
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_flow(shown, k, n, law):
    (loss,) = shown(explore.flow, k, n, seed=1, law=law)
    assert 0.0 <= loss <= copy_average_loss([k]) + 1e-6


def test_a_flow_is_drawn_to_its_end(shown):
    """The cosines are recovered from the copy-average that is named; witness of the losses: the flow itself."""
    (loss,) = shown(explore.flow, 3, 2, seed=0)
    curve, heat = shown.axes[0].lines[0], shown.axes[1].images[0]
    L = PopulationLoss(Network.orthonormal(3), kernels.erf)
    flow = gradient_flow(L, glorot(np.random.default_rng(0), 2, 3))
    np.testing.assert_array_equal(curve.get_data(), [flow.times[1:], flow.losses[1:]])
    assert loss == pytest.approx(copy_average_loss([1, 2]), abs=1e-6)
    assert shown.sentence == f"converged at copy-average (1, 2): loss {loss:.6f}\n"
    cosines = np.sort(np.sort(np.array(heat.get_array()), axis=1), axis=0)
    np.testing.assert_allclose(cosines, np.sort([[0, 0, 1], [0, 0.5**0.5, 0.5**0.5]], axis=0), atol=1e-3)
    assert heat.get_clim() == (-1, 1)


def test_a_flow_of_more_neurons_than_teachers_is_that_of_as_many(shown):
    shown(explore.flow, 2, 9, seed=1)
    assert shown.axes[1].images[0].get_array().shape == (2, 2)


def test_what_is_shown_before_anything_is_moved(shown):
    shown(explore.valley)
    assert shown.sentence.startswith("groups (1, 1, 4):")
    assert shown.axes[0].lines[0].get_xdata()[[0, -1]].tolist() == [-1.0, 1.0]
    shown(explore.sharings)
    assert shown.sentence.startswith("best of 5 partitions: (1, 1, 6),")  # of 8 into 3
    shown(explore.one_neuron)
    assert shown.sentence.startswith("erf, k = 5:")
    shown(explore.flow)
    assert shown.axes[1].images[0].get_array().shape == (4, 6)
    student = glorot(np.random.default_rng(0), 4, 6)  # its first step is short
    start = PopulationLoss(Network.orthonormal(6), kernels.erf)(student)
    assert shown.axes[0].lines[0].get_ydata()[0] == pytest.approx(start, rel=1e-3)
    shown(explore.spectrum)
    assert shown.sentence.startswith("k = 50, n = 25:")
    shown(explore.two_kinds)
    assert shown.sentence.startswith("relu:") and shown.axes[0].images[0].get_array().shape == (4, 8)


@pytest.mark.parametrize(("k", "n"), [(8, 7), (10, 2)])
def test_a_spectrum_is_drawn_with_hollow_marks_for_negative_eigenvalues(shown, k, n):
    """Witness: the distinct eigenvalues of the dense Hessian."""
    shown(explore.spectrum, k, n)
    L = PopulationLoss(Network.orthonormal(k), kernels.erf)
    students = copy_average([1] * (n - 1) + [k - n + 1]), perturbed_copies(kernels.erf, k, n)
    for height, (marks, student) in enumerate(zip(shown.axes[0].collections, students, strict=True)):
        places, hollow = np.array(marks.get_offsets()), marks.get_facecolor()[:, 3] == 0.0
        assert set(places[:, 1]) == {height}
        found = np.sort(np.where(hollow, -1.0, 1.0) * places[:, 0])
        dense = np.linalg.eigvalsh(L.hessian(student))
        nearest = np.abs(np.log(np.abs(np.divide.outer(dense, found))))
        np.testing.assert_allclose(nearest.min(axis=1), 0.0, atol=1e-5)
        np.testing.assert_allclose(found[[0, -1]], dense[[0, -1]], rtol=1e-5)
    low, high = shown.axes[0].get_ylim()
    assert low < 0 and high > 1 and shown.axes[0].get_yticks().tolist() == [0, 1]


@pytest.mark.parametrize("k, n", [(50, 25), (8, 7), (10, 2), (4, 30), (20, 17)])
def test_spectrum_against_the_dense_hessian(shown, k, n):
    fewer = min(n, k - 1)
    L = PopulationLoss(Network.orthonormal(k), kernels.erf)
    students = copy_average([1] * (fewer - 1) + [k - fewer + 1]), perturbed_copies(kernels.erf, k, fewer)
    smallest = [np.linalg.eigvalsh(L.hessian(student))[0] for student in students]
    assert shown(explore.spectrum, k, n) == pytest.approx(smallest, rel=1e-6, abs=1e-11)


@pytest.mark.parametrize(
    ("figure", "arguments", "taken"),
    [
        (explore.spectrum, (4, 199), 3),
        (explore.two_kinds, ("relu", 4, 9), 3),
        (explore.sharings, (4, 9), 4),
        (explore.flow, (2, 9), 2),
    ],
)
def test_a_width_that_has_no_figure_is_said_to_be_replaced(shown, figure, arguments, taken):
    shown(figure, *arguments)
    notice = f"n = {taken}, the largest here, in place of {arguments[-1]}\n"
    assert shown.sentence.startswith(notice)
    shown(figure, *arguments[:-1], taken)
    assert "in place of" not in shown.sentence


def test_spectrum_of_a_million(shown):
    assert all(value > 0 for value in shown(explore.spectrum, 10**6, 500_000))


@pytest.mark.parametrize("name", ["relu", "erf", "softplus", "tanh"])
@pytest.mark.parametrize("k, n", [(8, 4), (3, 2), (4, 9), (12, 11)])
def test_two_kinds(shown, name, k, n):
    """Both beat the n unperturbed copies of teachers."""
    averager, copies = shown(explore.two_kinds, name, k, n)
    n, kernel, teacher = min(n, k - 1), getattr(kernels, name), Network.orthonormal(k)
    L = PopulationLoss(teacher, kernel)
    plain = L(Network(teacher.W[:n], teacher.a[:n]))
    assert 0 < averager < plain and 0 < copies < plain
    if name not in ("relu", "erf"):  # the others take a second to solve for
        return
    make = copy_average_like, perturbed_copies
    for ax, students, loss in zip(shown.axes, make, (averager, copies), strict=True):
        student, image = students(kernel, k, n), ax.images[0]
        np.testing.assert_allclose(image.get_array(), np.diag(student.a) @ student.W, rtol=1e-12)
        assert f"{loss:.6f}" in ax.get_title() and image.get_clim() == (-2, 2)
        assert L(student) == pytest.approx(loss, abs=1e-6)
    if name == "erf":
        assert averager == pytest.approx(copy_average_loss([1] * (n - 1) + [k - n + 1]), abs=1e-6)
