"""lib.descent (flow, ndf, certificate) against SciPy's integrators, dense spectra and known critical points."""

import os
import subprocess
import sys

import numpy as np
import pytest
from cases import ALL_KERNELS, random_network
from guards import ROOT
from scipy.integrate import solve_ivp

from lib import (
    Network,
    PopulationLoss,
    certify,
    copy_average,
    copy_average_loss,
    glorot,
    gradient_flow,
    kernels,
    perturbed_copies,
)
from lib.descent.ndf import ALPHA, GAMMA, LEFT_OVER, integrator_for
from lib.fast import accelerator


def problem(k, n, seed, kernel=kernels.erf):
    L = PopulationLoss(Network.orthonormal(k, k + 1), kernel)
    return L, glorot(np.random.default_rng([k, n, seed]), n, k + 1)


def scipy_flow(L, student, times, method, rtol=1e-10, **options):
    """Witness: SciPy on the public gradient (and dense Hessian)."""

    def slope(_, theta):
        return -L.gradient(Network.unravel(theta, student.n, student.d)).ravel()

    solution = solve_ivp(
        slope, (0.0, times[-1]), student.ravel(), method, times, rtol=rtol, atol=1e-2 * rtol, **options
    )
    assert solution.success
    return solution.y.T


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("k", "n"), [(3, 1), (4, 3), (5, 2), *(pytest.param(6, n, marks=pytest.mark.long) for n in (4, 6))]
)
def test_trajectories_agree_with_lsoda(k, n, seed):
    """Twenty (n, seed): weights along the way to a part in 10^4, and the same end."""
    L, student = problem(k, n, seed)
    times = np.array([0.1, 1.0, 10.0, 100.0])
    flow = gradient_flow(L, student, rtol=1e-8, end_time=times[-1], gradient_tol=1e-14, snapshot_times=times)
    assert flow.status == "time limit" and flow.times[-1] == times[-1]
    found = np.hstack([flow.snapshots.W.reshape(len(times), -1), flow.snapshots.a])
    expected = scipy_flow(L, student, times, "LSODA")
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(flow.losses[-1], L(Network.unravel(expected[-1], n, k + 1)), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("rtol", [1e-4, 1e-5, 1e-6])
def test_error_follows_the_tolerance(rtol):
    L, student = problem(6, 3, 0)
    exact = scipy_flow(L, student, [20.0], "LSODA")[-1]
    flow = gradient_flow(L, student, rtol=rtol, end_time=20.0)
    assert np.abs(flow.student.ravel() - exact).max() < 300 * rtol


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("k", "n"), [(4, 2), (6, 5)])
def test_the_end_agrees_with_bdf_and_the_dense_hessian(k, n, seed):
    """Witness: SciPy's BDF with LU factors of the dense Hessian, to t = 10^5."""
    L, student = problem(k, n, seed)

    def jacobian(_, theta):
        return -L.hessian(Network.unravel(theta, n, k + 1))

    expected = scipy_flow(L, student, [1e5], "BDF", rtol=1e-7, jac=jacobian)[-1]
    flow = gradient_flow(L, student, gradient_tol=1e-11)
    assert flow.status == "converged"
    np.testing.assert_allclose(flow.student.ravel(), expected, rtol=0, atol=2e-3)
    np.testing.assert_allclose(flow.losses[-1], L(Network.unravel(expected, n, k + 1)), rtol=1e-8)


@pytest.mark.parametrize("kernel", ALL_KERNELS, ids=repr)
def test_every_kernel_flows_downhill(kernel):
    L = PopulationLoss(random_network(np.random.default_rng(0), 3, 4), kernel)
    student = glorot(np.random.default_rng(1), 2, 4)
    flow = gradient_flow(L, student, end_time=50.0, max_steps=500)
    assert flow.status in ("time limit", "converged")
    assert (np.diff(flow.losses) < 1e-4 * flow.losses[0]).all() and flow.losses[-1] < flow.losses[0]
    assert (np.diff(flow.times) > 0).all()
    # The loss falls at the rate |grad L|^2: the trapezoidal rule on the recorded gradients knows how far.
    fall = np.trapezoid(flow.gradient_norms**2, flow.times)
    np.testing.assert_allclose(fall, flow.losses[0] - flow.losses[-1], rtol=0.02)


@pytest.mark.parametrize(("n", "seed"), [(15, 2), (13, 17), (15, 1)])
def test_loose_tolerances_do_not_cycle(n, seed):
    """One Newton iteration per step, whatever it leaves over, kept these flows on a cycle of lengths of steps."""
    L, student = problem(50, n, seed)
    flow = gradient_flow(L, student, rtol=1e-4, max_steps=400)
    assert flow.status == "converged" and (np.diff(flow.losses[-50:]) < 1e-6).all()
    np.testing.assert_allclose(flow.losses[-1], copy_average_loss([1] * (n - 1) + [51 - n]), atol=1e-9)


@pytest.mark.parametrize(("rtol", "seed"), [(1e-4, 0), (1e-4, 2), (1e-6, 0)])
def test_every_step_solves_its_implicit_formula(rtol, seed):
    """What Newton and conjugate gradients leave over, in units of the tolerated error. Witness: the dense Hessian."""
    L, student = problem(40, 2, seed)
    integrator = integrator_for(L, student.W, student.a, rtol)
    correct, left_over = integrator._correct, []

    def measured():
        order, c = integrator._order, integrator._h / ALPHA[integrator._order]
        history = (GAMMA[: order + 1] / ALPHA[order]) @ integrator._differences[: order + 1]
        found = correct()
        if found is not None:
            theta, change = found[:2]
            at = Network.unravel(theta, 2, 41)
            residual = -c * L.gradient(at).ravel() - history - change
            newton = np.linalg.solve(np.eye(theta.size) + c * L.hessian(at), residual)
            left_over.append(np.sqrt(np.mean((newton / (rtol * (0.1 + np.abs(theta)))) ** 2)))
        return found

    integrator._correct = measured
    while integrator.point.gradient_norm > 1e-8:
        integrator.step()
    assert len(left_over) > 100 and max(left_over) < LEFT_OVER


def test_records_are_those_of_the_public_loss():
    L, student = problem(6, 3, 1)
    seen = []
    flow = gradient_flow(L, student, callback=lambda *arguments: seen.append(arguments))
    assert flow.status == "converged" and flow.gradient_norms[-1] <= 1e-8 < flow.gradient_norms[-2]
    assert len(seen) == flow.counts.steps == len(flow.times) - 1
    for time, loss, norm, at in [seen[0], seen[len(seen) // 2], seen[-1]]:
        index = list(flow.times).index(time)
        np.testing.assert_allclose([loss, L(at)], flow.losses[index], rtol=1e-12)
        witness = np.linalg.norm(L.gradient(at).ravel())
        np.testing.assert_allclose([norm, witness], flow.gradient_norms[index], rtol=1e-6)
    np.testing.assert_array_equal(seen[-1][3].ravel(), flow.student.ravel())


def test_random_flows_end_at_certified_minima_of_known_loss():
    for seed in range(6):
        L, student = problem(8, 4, seed)
        flow = gradient_flow(L, student)
        certificate = certify(L, flow.student)
        assert (flow.status, certificate.kind) == ("converged", "strict minimum")
        assert certificate.newton_step < 0.05
        known = [copy_average_loss([1, 1, 1, 5]), L(perturbed_copies(kernels.erf, 8, 4, 9))]
        assert min(abs(flow.losses[-1] - loss) for loss in known) < 1e-10


def test_limits_are_named_and_are_not_convergence():
    L, student = problem(5, 2, 0)
    assert gradient_flow(L, student, max_steps=7).status == "step limit"
    assert gradient_flow(L, student, max_steps=7).counts.steps == 7
    early = gradient_flow(L, student, end_time=0.5)
    assert early.status == "time limit" and early.times[-1] == 0.5
    assert certify(L, early.student).kind == "not critical"
    still = gradient_flow(L, copy_average([1, 4], 6), snapshot_times=[0.0, 1.0])
    assert still.status == "converged" and still.counts.steps == 0 and len(still.snapshots.times) == 1


def test_an_interrupted_flow_keeps_what_it_has():
    L, student = problem(5, 2, 0)
    whole = gradient_flow(L, student)

    def interrupt(time, *_):
        if time > 1.0:
            raise KeyboardInterrupt

    flow = gradient_flow(L, student, snapshot_times=[0.0, 0.3, 0.9], callback=interrupt)
    steps = flow.counts.steps
    assert flow.status == "interrupted" and 0 < steps < whole.counts.steps
    np.testing.assert_array_equal(flow.times, whole.times[: steps + 1])
    np.testing.assert_allclose(L(flow.student), flow.losses[-1], rtol=1e-12)
    assert len(flow.snapshots.times) == 3 and flow.snapshots.W.shape == (3, 2, 6)


def test_a_flow_interrupted_while_its_end_is_judged_is_kept(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    L, student = problem(5, 2, 0)
    whole = gradient_flow(L, student)
    monkeypatch.setattr("lib.descent.flow._goes_on", interrupt)
    flow = gradient_flow(L, student)
    assert flow.status == "interrupted"
    np.testing.assert_array_equal(flow.student.ravel(), whole.student.ravel())


@pytest.mark.usefixtures("compiled_apart")
def test_a_channel_is_not_a_minimum():
    """k = 10, n = 10, seed 2 of the Glorot-normal sweep: two neurons on one teacher part for ever."""
    L, student = accelerator.loss(Network.orthonormal(10, 11), kernels.erf), problem(10, 10, 2)[1]
    loose, flow = gradient_flow(L, student, gradient_tol=1e-6), gradient_flow(L, student)
    assert loose.status == flow.status == "channel" and flow.gradient_norms[-1] <= 1e-8
    assert len(flow.times) == flow.counts.steps + 1
    assert abs(flow.losses[-1] - L(flow.student)) < 1e-12
    # Witness: both outgoing weights go on growing where the gradient is a hundredth.
    assert np.sort(np.abs(flow.student.a))[-2] > 1.5 * np.sort(np.abs(loose.student.a))[-2]
    certificate = certify(L, flow.student)
    assert certificate.kind == "not critical" and certificate.newton_step > 1.0
    assert 0.0 < np.linalg.eigvalsh(L.hessian(flow.student))[0] < 1e-7


@pytest.mark.usefixtures("compiled_apart")
@pytest.mark.parametrize(("gradient_tol", "rtol"), [(1e-4, 1e-6), (1e-6, 1e-8)])
@pytest.mark.parametrize("n", [1, 2, 5, 10, 20])
def test_a_long_way_down_is_no_channel(n, gradient_tol, rtol):
    """Loose ends near copy-average, k = 50, called channels once: Newton's method is led astray there.

    Witness: the same flow, followed farther, has the closed form of the loss.
    """
    L = accelerator.loss(Network.orthonormal(50, 51), kernels.erf)
    start = glorot(np.random.default_rng([50, n, 0]), n, 51)
    flow = gradient_flow(L, start, gradient_tol=gradient_tol, rtol=rtol)
    assert flow.status == "converged" and flow.gradient_norms[-1] <= gradient_tol
    end = gradient_flow(L, flow.student, rtol=rtol)
    assert abs(end.losses[-1] - copy_average_loss([1] * (n - 1) + [51 - n])) < 1e-9
    assert abs(np.linalg.norm(newton_step_of(L, flow.student))) > 0.05


def newton_step_of(L, student):
    """Witness: LAPACK."""
    return np.linalg.solve(L.hessian(student), L.gradient(student).ravel())


def stretched(student, k):
    return Network(np.pad(student.W, ((0, 0), (0, k + 1 - student.d))), student.a)


@pytest.mark.parametrize(
    ("sizes", "kind"),
    [([1, 4], "strict minimum"), ([2, 3], "saddle"), ([1, 1, 3], "strict minimum"), ([1, 2, 2], "saddle")],
)
def test_partitions_of_five_teachers(sizes, kind):
    """Witness: NumPy's dense spectrum of the public Hessian; only the optimal partition is a minimum."""
    L = PopulationLoss(Network.orthonormal(5, 6), kernels.erf)
    point = copy_average(sizes, 6)
    rng = np.random.default_rng(0)
    nudged = Network.unravel(point.ravel() + 1e-5 * rng.standard_normal(point.n * 7), point.n, 6)
    certificate = certify(L, nudged)
    assert certificate.kind == kind
    np.testing.assert_allclose(certificate.student.ravel(), point.ravel(), atol=1e-9)
    # Newton's method ends when its steps are the rounding of the weights, which the Hessian makes a gradient of
    # u |theta| largest, over the softest eigenvalue: so long a step may be left along the stiffest direction.
    eigenvalues = np.linalg.eigvalsh(L.hessian(point))
    smallest, largest = eigenvalues[0], eigenvalues[-1]
    left = 2.0**-53 * np.linalg.norm(point.ravel()) * largest / np.abs(eigenvalues).min()
    assert np.linalg.norm(L.gradient(certificate.student).ravel()) < largest * left < 2e-10
    np.testing.assert_allclose(certificate.smallest_eigenvalue, smallest, rtol=1e-6)
    exact_step = np.linalg.norm(np.linalg.solve(L.hessian(nudged), L.gradient(nudged).ravel()))
    np.testing.assert_allclose(certificate.newton_step, exact_step, rtol=1e-3)


def test_duplicated_neurons():
    """Sharing a group is a saddle if the outgoing weights agree in sign, flat if they do not (theory, section 2)."""
    L = PopulationLoss(Network.orthonormal(5, 6), kernels.erf)
    one = copy_average([5], 6).W[0]
    assert certify(L, Network([one, one], [2.0, 3.0])).kind == "saddle"
    opposed = certify(L, Network([one, one], [6.46, -1.46]))
    assert opposed.kind == "flat" and abs(opposed.smallest_eigenvalue) < 1e-12


def test_a_flow_that_rests_at_a_saddle_is_told_from_a_minimum():
    """Two neurons that share a group are at rest: the flow has nowhere to go, the certificate says what that means."""
    L = PopulationLoss(Network.orthonormal(5, 6), kernels.erf)
    one = copy_average([5], 6).W[0]
    flow = gradient_flow(L, Network([one, one], [2.0, 3.0]))
    assert flow.status == "converged" and flow.gradient_norms[-1] < 1e-12
    assert certify(L, flow.student).kind == "saddle"


@pytest.mark.parametrize("n", [3, 20, 24])
def test_certificates_by_products_agree_with_the_dense_spectrum(n):
    """From N = 300 the smallest eigenvalue comes from conjugate gradients; witness: eigvalsh of the dense Hessian."""
    k = 25
    L = PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf)
    for point in (copy_average([1] * (n - 1) + [k - n + 1], k + 1), stretched(perturbed_copies(kernels.erf, k, n), k)):
        certificate = certify(L, point)
        smallest = np.linalg.eigvalsh(L.hessian(point))[0]
        assert certificate.kind == ("strict minimum" if smallest > 0 else "saddle")
        np.testing.assert_allclose(certificate.smallest_eigenvalue, smallest, rtol=1e-4)


def test_glorot_has_the_stated_variances_and_a_fixed_order():
    for law in ("normal", "uniform"):
        student = glorot(np.random.default_rng(0), 300, 200, law)
        # Standard errors of the sample variances: below 0.6 % of W's, 9 % of a's.
        assert abs(student.W.var() / (2 / 500) - 1) < 0.03 and abs(student.a.var() / (2 / 301) - 1) < 0.4
        assert abs(student.W.mean()) < 0.002
    assert np.abs(student.W).max() <= np.sqrt(6 / 500)
    rng = np.random.default_rng(5)
    W, a = rng.standard_normal((2, 3)) * np.sqrt(2 / 5), rng.standard_normal(2) * np.sqrt(2 / 3)
    np.testing.assert_array_equal(glorot(np.random.default_rng(5), 2, 3).ravel(), np.concatenate((W.ravel(), a)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda L, s: gradient_flow(L, s, rtol=1e-3), "rtol must be a number between 1e-11 and 0.0001, got 0.001"),
        (lambda L, s: gradient_flow(L, s, rtol="1e-5"), "rtol must be a number, got '1e-5'"),
        (lambda L, s: gradient_flow(L, s, gradient_tol=0), "gradient_tol must be a number between 1e-14"),
        (lambda L, s: gradient_flow(L, s, end_time=-1.0), "end_time must be a number between 0.0 and inf, got -1"),
        (lambda L, s: gradient_flow(L, s, end_time=np.nan), "end_time must be a number between 0.0 and inf, got nan"),
        (lambda L, s: gradient_flow(L, s, max_steps=1.5), "max_steps must be an integer, got 1.5"),
        (lambda L, s: gradient_flow(L, s, snapshot_times=[1.0, 1.0]), "snapshot_times must be increasing"),
        (lambda L, s: gradient_flow(L, s, snapshot_times=[-1.0]), "snapshot_times must be increasing and at least 0"),
        (lambda L, s: gradient_flow(None, s), "L must be a PopulationLoss and come first, .*, got None"),
        (lambda L, s: gradient_flow(L, Network.orthonormal(2)), "student must have the teacher's input dimension 4"),
        (lambda L, s: certify(s, s), "L must be a PopulationLoss and come first, as in certify.*, got Network"),
        (lambda L, s: certify(L, None), "student must be a Network, got None"),
        (lambda L, s: glorot(0, 1, 2), "rng must be a Generator, got 0"),
        (lambda L, s: glorot(np.random.default_rng(0), 0, 2), "n must be at least 1, got 0"),
        (lambda L, s: glorot(np.random.default_rng(0), 1, 2, "N"), "law must be 'normal' or 'uniform', got 'N'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    L, student = problem(3, 2, 0)
    with pytest.raises(ValueError, match=message):
        call(L, student)


def test_results_have_a_short_text():
    L, student = problem(3, 2, 0)
    flow = gradient_flow(L, student, snapshot_times=np.linspace(0.0, 10.0, 50), max_steps=1e3)
    text = repr(flow)
    assert len(text) < 150 and "converged" in text and repr(flow.student) in text
    assert f"{flow.counts.steps} steps" in text and f"{flow.losses[-1]:.6g}" in text
    assert repr(flow.snapshots) == "<50 snapshots>" and len(repr(certify(L, flow.student))) < 250


SLOW = """
import time
from lib import *
L = PopulationLoss(Network.orthonormal(3), kernels.erf)
gradient_flow(L, Network([[0.5, 0.3, 0.1]], [1.0]), callback=lambda *point: time.sleep(0.03), progress={progress})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("progress", [True, False])
def test_a_terminal_shows_how_far_a_long_flow_has_come(progress):
    pytest.importorskip("tqdm")
    import termios

    terminal, its_end = os.openpty()
    termios.tcsetwinsize(its_end, (24, 120))
    script = [sys.executable, "-c", SLOW.format(progress=progress)]
    done = subprocess.run(script, stdout=subprocess.PIPE, stderr=its_end, cwd=ROOT, timeout=120)
    os.write(its_end, b"end")
    shown = os.read(terminal, 2**16)
    os.close(its_end)
    os.close(terminal)
    assert done.returncode == 0 and (b"|gradient|" in shown) == progress and done.stdout == b""
