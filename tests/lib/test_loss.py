"""lib.loss against Monte Carlo, mpmath, finite differences and its own symmetries."""

import tracemalloc

import mpmath
import numpy as np
import pytest
from cases import (
    ALL_KERNELS,
    EVERY_KERNEL,
    MP_CLOSED_FORMS,
    ODD_KERNELS,
    OWN_KERNELS,
    random_network,
    singular_students,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import Network, PopulationLoss, kernels

TINY_PROBLEM = dict(n=st.integers(1, 4), k=st.integers(1, 5), d=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))


def problem(seed, n, k, d):
    rng = np.random.default_rng(seed)
    return random_network(rng, k, d), random_network(rng, n, d)


def mp_loss(teacher, student, kernel):
    """Witness: the double sum in mpmath with 50 digits, from the float64 weights."""
    g = MP_CLOSED_FORMS[kernel.name]
    with mpmath.workdps(50):
        rows = [[mpmath.mpf(float(x)) for x in row] for row in np.vstack((student.W, teacher.W))]
        c = [mpmath.mpf(float(x)) for x in np.concatenate((student.a, -teacher.a))]
        dot = [[mpmath.fdot(w, v) for v in rows] for w in rows]
        size = range(len(c))
        return sum(c[i] * c[j] * g(dot[i][j], dot[i][i], dot[j][j]) for i in size for j in size)


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_monte_carlo_agrees_on_twenty_problems(kernel):
    """Witness: sampled networks; 5 standard errors, 20 problems, seeds stated."""
    for seed in range(20):
        teacher, student = problem(seed, n=1 + seed % 4, k=1 + seed % 5, d=5)
        loss = PopulationLoss(teacher, kernel)
        mean, error = loss.monte_carlo(student, np.random.default_rng(1000 + seed), 20_000)
        assert 0 < error < 0.2 * max(mean, 1e-3)
        assert abs(loss(student) - mean) < 5 * error, (kernel, seed, loss(student), mean, error)


def test_monte_carlo_merges_batches_correctly():
    """Witness: the textbook mean and standard error of the very same samples."""
    teacher, student = problem(0, n=3, k=4, d=5)
    loss = PopulationLoss(teacher, kernels.tanh)
    samples = 3 * 2**20 // 12 + 17  # three full batches and a part of one
    mean, error = loss.monte_carlo(student, np.random.default_rng(5), samples)
    x = np.random.default_rng(5).standard_normal((samples, 5))
    values = (student(x, kernels.tanh) - teacher(x, kernels.tanh)) ** 2
    np.testing.assert_allclose([mean, error], [values.mean(), values.std(ddof=1) / np.sqrt(samples)], rtol=1e-10)


def test_monte_carlo_streams():
    teacher, student = problem(0, n=2, k=3, d=4)
    loss = PopulationLoss(teacher, kernels.relu)
    assert peak_memory(lambda: loss.monte_carlo(student, np.random.default_rng(0), 10_000_000)) < 200e6


def test_gradient_memory_at_n_500_k_1000():
    rng = np.random.default_rng(0)
    student = random_network(rng, 500, 1000, scale=0.03)
    teacher = Network.orthonormal(1000)

    def once():
        PopulationLoss(teacher, kernels.erf).gradient(student)

    assert peak_memory(once) < 300e6


def peak_memory(call):
    """Largest memory in bytes that `call` held at once, NumPy's arrays included."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kernel", ALL_KERNELS[:3], ids=repr)
def test_loss_against_mpmath(kernel):
    for seed in range(5):
        teacher, student = problem(seed, n=3, k=4, d=5)
        exact = float(mp_loss(teacher, student, kernel))
        np.testing.assert_allclose(PopulationLoss(teacher, kernel)(student), exact, rtol=1e-12)


def test_erf_gradient_against_mpmath():
    """Witness: mpmath's numerical derivative of the 50-digit loss along every coordinate."""
    teacher, student = problem(3, n=2, k=3, d=3)
    gradient = PopulationLoss(teacher, kernels.erf).gradient(student).ravel()
    theta = student.ravel()
    h = 2.0**-30
    for index, direction in enumerate(np.eye(theta.size)):
        ahead = mp_loss(teacher, Network.unravel(theta + h * direction, 2, 3), kernels.erf)
        behind = mp_loss(teacher, Network.unravel(theta - h * direction, 2, 3), kernels.erf)
        assert abs(float((ahead - behind) / (2 * h)) - gradient[index]) < 1e-13


def smooth_students(kernel, rng, d):
    for name, student in singular_students(rng, d).items():
        # sin's Hessian is a sum of terms |w|^2 there, of which float64 keeps no digit.
        too_long = name == "huge" and kernel in [*OWN_KERNELS, kernels.sin]
        if too_long or (name == "zero" and 0.0 in kernel.kinks):
            continue
        yield name, student


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_gradient_against_central_differences(kernel):
    """Also at copied, antipodal and silent neurons, where naive formulas lose half their digits."""
    rng = np.random.default_rng(4)
    teacher = random_network(rng, 3, 4)
    loss = PopulationLoss(teacher, kernel)
    students = {"random": random_network(rng, 3, 4), **dict(smooth_students(kernel, rng, 4))}
    h = 1e-5
    for name, student in students.items():
        if name in ("tiny", "huge"):
            continue  # no finite step is small against 1e-8 and visible beside 1e8: see the next test
        theta = student.ravel()
        slopes = [
            (loss(Network.unravel(theta + e, student.n, 4)) - loss(Network.unravel(theta - e, student.n, 4))) / (2 * h)
            for e in h * np.eye(theta.size)
        ]
        gradient = loss.gradient(student).ravel()
        scale = 1.0 + np.abs(gradient).max()
        np.testing.assert_allclose(gradient, slopes, atol=1e-8 * scale, err_msg=name)


@pytest.mark.parametrize("kernel", [kernels.erf, kernels.relu], ids=repr)
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_gradient_at_extreme_lengths(kernel, scale):
    """Witness: a step of 1e-6 of the length, in mpmath, where it is neither lost nor coarse."""
    rng = np.random.default_rng(5)
    teacher = random_network(rng, 2, 3)
    w, v = scale * rng.standard_normal((2, 3))
    student = Network([w, w, -v], [1.0, -0.5, 2.0])
    gradient = PopulationLoss(teacher, kernel).gradient(student)
    h = 2.0**-20 * scale
    for i in range(3):
        for x in range(3):
            steps = np.zeros((3, 3))
            steps[i, x] = h
            ahead = mp_loss(teacher, Network(student.W + steps, student.a), kernel)
            behind = mp_loss(teacher, Network(student.W - steps, student.a), kernel)
            slope = float((ahead - behind) / (2 * mpmath.mpf(h)))
            assert abs(slope - gradient.W[i, x]) <= 2e-5 * np.abs(gradient.W[i]).max(), (i, x)


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_hessian_against_central_differences_of_the_gradient(kernel):
    rng = np.random.default_rng(6)
    loss = PopulationLoss(random_network(rng, 3, 4), kernel)
    students = {"random": random_network(rng, 3, 4), **dict(smooth_students(kernel, rng, 4))}
    # Under kinks the Hessian has one of size h at copies, so its differences are only good to h.
    h, tolerance = (1e-6, 1e-4) if kernel.kinks else (1e-5, 1e-8)
    for name, student in students.items():
        if name in ("tiny", "huge"):
            continue
        theta = student.ravel()
        rows = [
            loss.gradient(Network.unravel(theta + e, student.n, 4)).ravel()
            - loss.gradient(Network.unravel(theta - e, student.n, 4)).ravel()
            for e in h * np.eye(theta.size)
        ]
        H = loss.hessian(student)
        np.testing.assert_allclose(H, np.array(rows) / (2 * h), atol=tolerance * (1 + np.abs(H).max()), err_msg=name)


@pytest.mark.parametrize("kernel", EVERY_KERNEL, ids=repr)
def test_operator_equals_dense_hessian(kernel):
    """Two independent assemblies (blocks, and a directional derivative), on random and singular students.

    Between parallel neurons of length |w| >> 1 both add terms of size |w| that cancel: there the
    two agree to 1e-15 |w| of what is summed, and no better.
    """
    rng = np.random.default_rng(7)
    loss = PopulationLoss(random_network(rng, 3, 4), kernel)
    students = {f"random {i}": random_network(rng, 1 + i, 4) for i in range(4)}
    for name, student in {**students, **dict(smooth_students(kernel, rng, 4))}.items():
        H, operator = loss.hessian(student), loss.hessian_operator(student)
        digits = max(1e-10 if kernel in OWN_KERNELS else 1e-12, 1e-15 * np.abs(student.W).max())
        np.testing.assert_allclose(H, H.T, rtol=0, atol=digits * np.abs(H).max())
        direction = rng.standard_normal(len(H))
        dense = H @ direction
        # Relative to what is summed: |H| |direction| bounds every term of the product.
        bound = digits * (np.abs(H) @ np.abs(direction)).max()
        np.testing.assert_allclose(operator @ direction, dense, rtol=0, atol=bound, err_msg=name)
        np.testing.assert_allclose(operator.T @ direction, dense, rtol=0, atol=bound)
        np.testing.assert_allclose(operator @ np.eye(len(H)), H, rtol=0, atol=digits * np.abs(H).max())


def solvable(shift_above):
    """The operator of a small loss, its dense matrix with a shift whose least eigenvalue is given, and the shift."""
    teacher, student = problem(9, n=2, k=3, d=3)
    loss = PopulationLoss(teacher, kernels.tanh)
    H = loss.hessian(student)
    shift = shift_above - np.linalg.eigvalsh(H)[0]
    return loss.operator(student.W, student.a), H + shift * np.eye(len(H)), shift


def test_systems_are_solved_by_as_many_products_as_a_krylov_space_needs():
    """Witness: least squares over the powers of the dense matrix, and its solution by elimination."""
    operator, A, shift = solvable(0.1)
    b = np.random.default_rng(0).standard_normal(8)
    exact, basis = np.linalg.solve(A, b), [b / np.linalg.norm(b)]
    for products in range(1, 7):
        space = np.linalg.qr(np.array(basis).T)[0]
        weights = np.linalg.lstsq(A @ space, b, rcond=None)[0]
        residual = np.linalg.norm(A @ space @ weights - b)
        for tolerance, count in ((1.001 * residual, products), (0.999 * residual, products + 1)):
            before = b.copy()
            x, found = operator.solve(shift, b, tolerance)
            assert found == count and (b == before).all()
            assert np.linalg.norm(x - exact) <= np.linalg.norm(space @ weights - exact) * (1 + 1e-9)
        basis.append(A @ space[:, -1])
    x, products = operator.solve(shift, b, 1e-12)
    np.testing.assert_allclose(x, exact, atol=1e-10)
    assert products <= 9


def test_a_system_that_asks_for_nothing_costs_no_product():
    operator, _, shift = solvable(0.1)
    for b, tolerance in ((np.zeros(8), 0.0), (np.ones(8), 3.0)):
        x, products = operator.solve(shift, b, tolerance)
        assert products == 0 and (x == 0.0).all()


def test_systems_that_are_not_positive_definite_are_not_solved():
    """Along an eigenvector of a negative eigenvalue the first product shows it."""
    for least in (-0.1, -1e-9):
        operator, A, shift = solvable(least)
        assert operator.solve(shift, np.linalg.eigh(A)[1][:, 0], 1e-12) == (None, 1)
    operator, _, shift = solvable(0.1)
    assert operator.solve(shift, np.arange(8.0), 1e-12, most=3) == (None, 3)


def test_weights_up_to_1e30_and_relu_vectors_down_to_its_inverse():
    for kernel in (kernels.erf, kernels.relu):
        loss, most = PopulationLoss(Network.orthonormal(2), kernel), 1e30
        assert np.isfinite(loss(Network([[most, 0.0]], [1e-3]))) and np.isfinite(loss(Network([[1.0, 0.0]], [most])))
        for student in (Network([[0.0, -1.01e30]], [1.0]), Network([[1.0, 0.0]], [-1.01e30])):
            with pytest.raises(ValueError, match=r"student must have weights of at most 1e\+30, got 1\.01e\+30"):
                loss(student)
        with pytest.raises(ValueError, match=r"teacher must have weights of at most 1e\+30, got 1e\+31"):
            PopulationLoss(Network([[1e31]], [1.0]), kernel)
    short = Network([[1.0, 0.0], [0.0, 0.99e-30]], [1.0, 1.0])
    assert np.isfinite(PopulationLoss(Network.orthonormal(2), kernels.erf)(short))
    assert np.isfinite(loss(Network([[1.0, 0.0], [0.0, 1.01e-30], [0.0, 0.0]], [1.0, 1.0, 1.0])))
    message = "student must have incoming vectors that are zero or longer than 1e-30 under relu, got 9.9e-31"
    with pytest.raises(ValueError, match=message):
        loss(short)


@pytest.mark.parametrize("k", [2, 3, 10, 50, 1000])
def test_one_neuron_erf_optimum_is_critical(k):
    """The averaging neuron |w| = 1/sqrt(2k-1), a = k has the known loss and no gradient (proven in the book)."""
    student = Network(np.full((1, k), 1 / np.sqrt(k * (2 * k - 1))), [float(k)])
    loss = PopulationLoss(Network.orthonormal(k), kernels.erf)
    # The gradient is a difference of two terms of size k, each rounded to 1e-16 of itself.
    assert np.abs(loss.gradient(student).ravel()).max() < max(1e-13, 1e-15 * k)
    with mpmath.workdps(30):
        exact = 2 / mpmath.pi * (k * mpmath.asin(0.5) - k**2 * mpmath.asin(mpmath.mpf(1) / (2 * k)))
    np.testing.assert_allclose(loss(student), float(exact), rtol=1e-11)


def test_a_general_teacher_is_not_special():
    """Correlated teachers with unequal weights: the loss is invariant under exchanging the networks."""
    teacher, student = problem(8, n=4, k=3, d=5)
    for kernel in ALL_KERNELS:
        np.testing.assert_allclose(
            PopulationLoss(teacher, kernel)(student), PopulationLoss(student, kernel)(teacher), rtol=1e-12
        )


@pytest.mark.parametrize("kernel", ALL_KERNELS, ids=repr)
@settings(max_examples=25, deadline=None)
@given(**TINY_PROBLEM)
def test_loss_and_gradient_are_invariant(kernel, n, k, d, seed):
    """Permuting neurons, rotating the inputs and adding an input that nobody uses change nothing."""
    teacher, student = problem(seed, n, k, d)
    rng = np.random.default_rng(seed + 1)
    loss, gradient = PopulationLoss(teacher, kernel)(student), PopulationLoss(teacher, kernel).gradient(student)
    close = dict(rtol=1e-9, atol=1e-10)

    order = rng.permutation(n)
    permuted = Network(student.W[order], student.a[order])
    shuffled_teacher = Network(teacher.W[::-1], teacher.a[::-1])
    moved = PopulationLoss(shuffled_teacher, kernel)
    np.testing.assert_allclose(moved(permuted), loss, **close)
    np.testing.assert_allclose(moved.gradient(permuted).W, gradient.W[order], **close)

    rotation, _ = np.linalg.qr(rng.standard_normal((d, d)))
    rotated = PopulationLoss(Network(teacher.W @ rotation, teacher.a), kernel)
    turned = Network(student.W @ rotation, student.a)
    np.testing.assert_allclose(rotated(turned), loss, **close)
    np.testing.assert_allclose(rotated.gradient(turned).W, gradient.W @ rotation, **close)

    wider = PopulationLoss(Network(np.pad(teacher.W, ((0, 0), (0, 1))), teacher.a), kernel)
    padded = Network(np.pad(student.W, ((0, 0), (0, 1))), student.a)
    np.testing.assert_allclose(wider(padded), loss, **close)
    np.testing.assert_allclose(wider.gradient(padded).W, np.pad(gradient.W, ((0, 0), (0, 1))), **close)


@pytest.mark.parametrize("kernel", ODD_KERNELS, ids=repr)
@settings(max_examples=25, deadline=None)
@given(**TINY_PROBLEM)
def test_odd_kernels_do_not_see_a_sign_flip(kernel, n, k, d, seed):
    teacher, student = problem(seed, n, k, d)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], n)
    flipped = Network(signs[:, None] * student.W, signs * student.a)
    loss = PopulationLoss(teacher, kernel)
    np.testing.assert_allclose(loss(flipped), loss(student), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(loss.gradient(flipped).W, signs[:, None] * loss.gradient(student).W, atol=1e-10)


@pytest.mark.parametrize("kernel", ALL_KERNELS, ids=repr)
@settings(max_examples=25, deadline=None)
@given(**TINY_PROBLEM)
def test_loss_is_positive_and_zero_at_the_teacher(kernel, n, k, d, seed):
    """Up to rounding of the teacher's own energy E[f^2], which is what cancels."""
    teacher, student = problem(seed, n, k, d)
    loss = PopulationLoss(teacher, kernel)
    assert loss(student) >= -1e-13 * loss.teacher_energy
    assert abs(loss(teacher)) <= 1e-13 * loss.teacher_energy
    assert np.abs(loss.gradient(teacher).ravel()).max() <= 1e-12 * (1 + loss.teacher_energy)


def test_relu_says_where_it_has_no_derivative():
    """At a zero incoming vector the loss under relu has one-sided derivatives only; its value exists."""
    loss = PopulationLoss(Network.orthonormal(3), kernels.relu)
    student = Network([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [1.0, 2.0])
    assert np.isfinite(loss(student))
    for method in (loss.gradient, loss.hessian, loss.hessian_operator):
        with pytest.raises(ValueError, match="one-sided derivatives there, got w_1 = 0"):
            method(student)


def test_relu_has_a_gradient_at_a_neuron_that_is_all_zero():
    """Witness: the loss changes by less than the square of any small step away from w = 0, a = 0."""
    loss = PopulationLoss(Network.orthonormal(3), kernels.relu)
    student = Network([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [1.0, 0.0])
    gradient = loss.gradient(student)
    assert (gradient.W[1] == 0.0).all() and gradient.a[1] == 0.0
    rng = np.random.default_rng(0)
    for _ in range(10):
        W, a = student.W.copy(), student.a.copy()
        W[1], a[1] = 1e-4 * rng.standard_normal(3), 1e-4 * rng.standard_normal()
        assert abs(loss(Network(W, a)) - loss(student)) < 1e-6
    with pytest.raises(ValueError, match="w_1 = 0"):
        loss.hessian(student)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda loss: loss(Network.orthonormal(2)), "student must have the teacher's input dimension 3, got 2"),
        (lambda loss: loss.gradient(np.ones(3)), "student must be a Network, got array"),
        (lambda loss: loss.hessian(Network.orthonormal(4)), "student must have the teacher's input dimension 3, got 4"),
        (lambda loss: loss.hessian_operator(None), "student must be a Network, got None"),
        (lambda loss: loss.monte_carlo(loss.teacher, 0, 100), "rng must be a Generator, got 0: np.random.default_rng"),
        (lambda loss: loss.monte_carlo(loss.teacher, np.random.default_rng(0), 1), "samples must be at least 2, got 1"),
        (
            lambda loss: loss.monte_carlo(loss.teacher, np.random.default_rng(0), 10000.5),
            "samples must be an integer, got 10000.5",
        ),
        (lambda loss: PopulationLoss(np.eye(3), kernels.erf), "teacher must be a Network and come first, .* got array"),
        (lambda loss: PopulationLoss(loss.teacher, "erf"), "kernel must be a Kernel, got 'erf'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(PopulationLoss(Network.orthonormal(3), kernels.erf))


def test_a_whole_number_of_samples_may_be_a_float():
    loss = PopulationLoss(Network.orthonormal(3), kernels.erf)
    found = [loss.monte_carlo(Network.orthonormal(1, 3), np.random.default_rng(0), n) for n in (1e4, 10_000)]
    assert found[0] == found[1]
