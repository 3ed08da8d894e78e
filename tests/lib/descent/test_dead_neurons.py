"""lib.descent.dead_neurons: what a flow under relu conserves, who dies and who comes back."""

import numpy as np
import pytest

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average_like,
    glorot,
    gradient_flow,
    identify,
    kernels,
)
from lib.descent.dead_neurons import (
    SHORT,
    Fates,
    LivingLoss,
    directions,
    error_pull,
    steepest,
)


def relu_loss(k):
    return PopulationLoss(Network.orthonormal(k, k + 1), kernels.relu)


def start(k, n, seed):
    return glorot(np.random.default_rng([k, n, seed]), n, k + 1)


def conserved(W, a):
    return a**2 - (W**2).sum(axis=-1)


def test_a_flow_conserves_a_square_minus_w_square():
    """Witness of the law, and of the flow: the conserved number of each neuron, dead or not."""
    student = start(6, 5, 4)
    times = [0.01, 0.1, 0.2, 10.0, 100.0]
    flow = gradient_flow(relu_loss(6), student, rtol=1e-7, snapshot_times=times)
    number = conserved(student.W, student.a)
    for W, a in zip(flow.snapshots.W, flow.snapshots.a, strict=True):
        np.testing.assert_allclose(conserved(W, a), number, atol=1e-5)
    assert (np.sign(flow.student.a)[number > 0] == np.sign(student.a)[number > 0]).all()


@pytest.mark.parametrize(("n", "seed", "dead"), [(1, 0, 1), (2, 0, 0), (5, 4, 1)])
def test_dead_neurons(n, seed, dead):
    """A dead neuron rests in a minimum: every short w_i it could have instead raises the loss."""
    L = relu_loss(6)
    flow = gradient_flow(L, start(6, n, seed))
    zero = ~flow.student.W.any(axis=1)
    assert zero.sum() == dead and flow.status == ("dead neuron" if dead else "converged")
    assert (flow.student.a[zero] < 0.0).all() and (np.diff(flow.losses) < 1e-10).all()
    assert flow.gradient_norms[-1] <= 1e-8 and abs(flow.losses[-1] - L(flow.student)) < 1e-12
    assert len(flow.times) == len(flow.losses) == flow.counts.steps + 1
    rng = np.random.default_rng(0)
    for _ in range(200 * dead):
        W = np.array(flow.student.W)
        u = rng.standard_normal(7)
        W[zero] = 1e-3 * u / np.linalg.norm(u)
        assert L(Network(W, flow.student.a)) > flow.losses[-1]


def plain_descent(L, student, step, until):
    """Witness: gradient descent from a student, which knows nothing of dead neurons."""
    theta = student.ravel()
    for _ in range(round(until / step)):
        W, a = theta[: student.W.size].reshape(student.W.shape), theta[student.W.size :]
        theta = theta - step * L.value_and_gradient(W, a)[1]
    return Network.unravel(theta, student.n, student.d)


def test_a_neuron_comes_back_as_in_small_step_descent():
    """k = 10, n = 7, seed 11: a neuron dies at t = 62, comes back at t = 88 and is of use.

    Descent with steps of 0.02 and 0.01 from t = 50 on ends near the flow, twice as near with half
    the step. In between it does not find the descent that there is far from its own direction.
    """
    L, times = relu_loss(10), [50.0, 75.0, 150.0]
    flow = gradient_flow(L, start(10, 7, 11), rtol=1e-7, snapshot_times=times)
    students = [Network(W, a) for W, a in zip(*flow.snapshots[1:], strict=True)]
    before, between, after = students
    assert [int((~student.W.any(axis=1)).sum()) for student in students] == [0, 1, 0]
    living = between.W.any(axis=1)
    others = between.W[living], between.a[living]
    assert steepest(L, *others, -1.0, directions(L, others[0]))[0] < -1e-4
    number = conserved(before.W, before.a)
    np.testing.assert_allclose(conserved(after.W, after.a), number, atol=1e-5)
    off = [plain_descent(L, before, h, 100.0).ravel() - after.ravel() for h in (0.02, 0.01)]
    coarse, fine = (np.abs(difference).max() for difference in off)
    assert fine < 1e-3 and 1.7 < coarse / fine < 2.3
    certificate = certify(L, flow.student)
    assert flow.status == "converged" and certificate.kind == "strict minimum"
    assert abs(flow.losses[-1] - 0.651541) < 1e-6
    assert identify(L, certificate.student).kind == "wrong-sign"


def squared_errors(student, x):
    """Witness of a loss: (f - f_teacher)^2 at inputs x, ten orthonormal teacher neurons."""
    outputs = np.maximum(x @ student.W.T, 0.0) @ student.a
    return (outputs - np.maximum(x[:, :10], 0.0).sum(axis=1)) ** 2


def test_dead_for_ever_is_no_end():
    """The student in whose loss, 0.653881, the flow of k = 10, n = 7, seed 11 was said to end.

    Restarted beside w = 0, a neuron with a < 0 lowers it to 0.651541, by samples of x as well.
    """
    L = relu_loss(10)
    average = copy_average_like(kernels.relu, 10, 6, 11)
    dead = Network(np.vstack((average.W, np.zeros(11))), np.append(average.a, -1.0))
    assert abs(L(dead) - 0.653881) < 1e-6 and certify(L, average).kind == "strict minimum"
    assert certify(L, dead).kind == "not critical"
    rate, u = steepest(L, average.W, average.a, -1.0, directions(L, average.W))
    restarted = gradient_flow(L, Network(np.vstack((average.W, 1e-6 * u)), dead.a))
    assert rate < -1e-4 and abs(restarted.losses[-1] - 0.651541) < 1e-6
    x = np.random.default_rng(0).standard_normal((4 * 10**5, 11))
    falls = squared_errors(dead, x) - squared_errors(restarted.student, x)
    error = falls.std() / np.sqrt(len(x))
    assert 5.0 * error < falls.mean() and abs(falls.mean() - 0.002340) < 4.0 * error


def test_the_rate_of_the_loss_at_a_dead_neuron():
    """2 a E[(f - f*) relu(u.x)], with its slope in u. Witnesses: samples, and differences."""
    rng = np.random.default_rng(0)
    L, u = relu_loss(4), np.ones((1, 5))
    student = Network(rng.standard_normal((3, 5)), rng.standard_normal(3))
    x = rng.standard_normal((10**5, 5))
    samples = (student(x, kernels.relu) - L.teacher(x, kernels.relu)) * np.maximum(x @ u[0], 0)
    value, slope = error_pull(L, student.W, student.a, u)
    assert abs(samples.mean() - value[0]) < 4 * samples.std() / 10**2.5
    moved = u + 1e-5 * np.eye(5)
    differences = error_pull(L, student.W, student.a, np.concatenate((moved, 2 * u - moved)))[0]
    np.testing.assert_allclose(slope[0], (differences[:5] - differences[5:]) / 2e-5, atol=1e-9)
    for a in (-0.7, 1.3):  # the loss itself, with one more neuron that is hardly alive
        grown = Network(np.vstack((student.W, 1e-6 * u)), np.append(student.a, a))
        assert abs((L(grown) - L(student)) / 1e-6 - 2 * a * value[0]) < 1e-5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_steepest_direction_in_the_plane(seed, sign):
    """Witness: a grid of the whole circle."""
    rng = np.random.default_rng(seed)
    L = PopulationLoss(Network(rng.standard_normal((3, 2)), rng.standard_normal(3)), kernels.relu)
    W, a = rng.standard_normal((2, 2)), rng.standard_normal(2)
    angle = np.linspace(0, 2 * np.pi, 20001)
    rates = sign * error_pull(L, W, a, np.stack((np.cos(angle), np.sin(angle)), axis=1))[0]
    rate, u = steepest(L, W, a, sign, directions(L, W))
    assert abs(np.linalg.norm(u) - 1.0) < 1e-12 and rates.min() - 1e-7 < rate < rates.min() + 1e-12
    np.testing.assert_allclose(rate, sign * error_pull(L, W, a, u[None])[0][0], atol=1e-15)


def test_no_random_start_finds_a_steeper_direction():
    """Seven inputs, students of every sign: 300 starts against those of `directions`."""
    rng, L = np.random.default_rng(1), relu_loss(6)
    for _ in range(5):
        W, a = rng.standard_normal((3, 7)), rng.standard_normal(3)
        U = rng.standard_normal((300, 7))
        U /= np.linalg.norm(U, axis=1, keepdims=True)
        for sign in (-1.0, 1.0):
            found = steepest(L, W, a, sign, directions(L, W))[0]
            assert found < steepest(L, W, a, sign, U)[0] + 1e-9


def test_directions_are_unit_vectors_both_ways():
    L = PopulationLoss(Network(np.eye(2, 4), np.ones(2)), kernels.relu)
    found = directions(L, np.array([[0.0, 3.0, 4.0, 0.0]]))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0)
    w, e = np.array([0.0, 0.6, 0.8, 0.0]), np.eye(4)
    for u in (w, -w, e[0], -e[0], e[1], -e[1], (e[0] + e[1]) / np.sqrt(2.0), e[3]):
        assert 1e-3 < np.linalg.norm(found - u, axis=1).min() < 0.011  # tilted


def shrinking_and_growing():
    """A student of k = 6 whose neuron 0 is short enough to be dead and 1 is longer, both a < 0."""
    L, student = relu_loss(6), start(6, 4, 0)
    W, a = np.array(student.W), np.array(student.a)
    a[:2] = -1.0, -2.0
    W[0] = 0.99 * SHORT * W[0] / np.linalg.norm(W[0])
    W[1] = 2.01 * SHORT * W[1] / np.linalg.norm(W[1])
    return L, W, a


def test_who_dies_is_short_and_shrinks():
    L, W, a = shrinking_and_growing()
    fates = Fates(L, Network(W, a), 1e-8)
    after = fates.change(W, a, thorough=False)
    assert list(fates.living) == [False, True, True, True]
    assert not after[0][0].any() and (after[0][1:] == W[1:]).all() and (after[1][1:] == a[1:]).all()
    assert after[1][0] < 0.0 and abs(conserved(*after)[0] - conserved(W, a)[0]) < 1e-16
    assert fates.change(*after, thorough=False) is None
    # At its length it lives where it grows: with a > 0, the student being too small, it is pulled.
    fates = Fates(L, Network(W, -a), 1e-8)
    assert fates.change(W, np.abs(a), thorough=False) is None and fates.living.all()


def test_who_comes_back_is_drawn():
    """The dead of a student that is too large: a < 0 is drawn out of w = 0, a > 0 is not."""
    L, W = relu_loss(6), np.zeros((4, 7))
    W[:2] = 5.0 * np.eye(2, 7)
    a = np.array([4.0, 4.0, -2.0, 3.0])
    fates = Fates(L, Network(W + 1e-7 * np.eye(4, 7), a), 1e-8)
    fates.living = np.array([True, True, False, False])
    for thorough in (True, False):
        fates.living = np.array([True, True, False, False])
        after, b = fates.change(W, a, thorough)
        assert list(fates.living) == [True, True, True, False] and not after[3].any()
        assert abs(np.linalg.norm(after[2]) / SHORT - 2.0) < 1e-12 and b[3] == 3.0
        assert abs(conserved(after, b)[2] - 4.0) < 1e-14
        if thorough:  # from there the loss falls as fast as it can
            rate, u = steepest(L, W[:2], a[:2], -1.0, directions(L, W[:2]))
            np.testing.assert_allclose(after[2], 2.0 * SHORT * u, atol=1e-3 * SHORT)
            short = Network(np.vstack((W[:2], after[2])), b[:3])
            fall = (L(short) - L(Network(W[:2], a[:2]))) / (2.0 * SHORT)
            assert abs(fall - 4.0 * rate) < 1e-4 * abs(rate)
    # A neuron comes back only where the loss falls faster than the tolerance.
    assert Fates(L, Network(W + np.eye(4, 7), a), 4.0 * abs(rate) * 1.01).living.all()
    patient = Fates(L, Network(W + np.eye(4, 7), a), 4.0 * abs(rate) * 1.01)
    patient.living = np.array([True, True, False, False])
    assert patient.change(W, a, thorough=True) is None
    eager = Fates(L, Network(W + np.eye(4, 7), a), 4.0 * abs(rate) * 0.99)
    eager.living = np.array([True, True, False, False])
    assert eager.change(W, a, thorough=True) is not None


def test_the_flow_of_the_living_is_that_of_a_smaller_network():
    """Witness: PopulationLoss of the network without the dead."""
    student = start(6, 4, 0)
    living = np.array([True, False, True, True])
    loss = LivingLoss(relu_loss(6), living)
    smaller = Network(student.W[living], student.a[living])
    at = np.flatnonzero(np.append(np.repeat(living, 7), living))
    plain = relu_loss(6)
    value, gradient = loss.value_and_gradient(student.W, student.a)
    assert value == plain(smaller)
    np.testing.assert_array_equal(gradient[at], plain.gradient(smaller).ravel())
    assert not np.delete(gradient, at).any()
    direction = np.random.default_rng(0).standard_normal(32)
    operator = loss.operator(student.W, student.a)
    product = operator @ direction
    np.testing.assert_allclose(product[at], plain.hessian(smaller) @ direction[at], atol=1e-12)
    assert not np.delete(product, at).any() and operator.value == value
    solution, _ = operator.solve(50.0, gradient, 1e-12)
    expected = np.linalg.solve(plain.hessian(smaller) + 50.0 * np.eye(24), gradient[at])
    np.testing.assert_allclose(solution[at], expected, atol=1e-12)
    assert not np.delete(solution, at).any()
    nobody = LivingLoss(plain, np.zeros(4, dtype=bool))
    value, gradient = nobody.value_and_gradient(student.W, student.a)
    assert value == plain.teacher_energy and not gradient.any()
