"""lib.descent.dead_neurons: what a flow under relu conserves, and where a neuron dies."""

import numpy as np
import pytest

from lib import (
    Network,
    PopulationLoss,
    glorot,
    gradient_flow,
    kernels,
)
from lib.descent.dead_neurons import LivingLoss


def start(k, n, seed):
    return glorot(np.random.default_rng([k, n, seed]), n, k + 1)


def test_a_flow_conserves_a_square_minus_w_square():
    """Witness of the law, and of the flow: the conserved number of each neuron, until it dies."""
    student = start(6, 5, 4)
    conserved = student.a**2 - (student.W**2).sum(axis=1)
    times = [0.01, 0.1, 0.2, 10.0, 100.0]
    flow = gradient_flow(PopulationLoss(Network.orthonormal(6, 7), kernels.relu), student, 1e-8, 1e-7,
                         snapshot_times=times)  # fmt: skip
    for W, a in zip(flow.snapshots.W, flow.snapshots.a, strict=True):
        np.testing.assert_allclose(a**2 - (W**2).sum(axis=1), conserved, atol=1e-5)
    assert (np.sign(flow.student.a)[conserved > 0] == np.sign(student.a)[conserved > 0]).all()


@pytest.mark.parametrize(("n", "seed", "dead"), [(1, 0, 1), (2, 0, 0), (5, 4, 1)])
def test_dead_neurons(n, seed, dead):
    """A dead neuron rests in a local minimum: every short w_i it could have instead raises the loss."""
    L = PopulationLoss(Network.orthonormal(6, 7), kernels.relu)
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


def test_the_flow_of_the_living_is_that_of_a_smaller_network():
    """Witness: PopulationLoss of the network without the dead."""
    student = start(6, 4, 0)
    living = np.array([True, False, True, True])
    loss = LivingLoss(PopulationLoss(Network.orthonormal(6, 7), kernels.relu), living)
    smaller = Network(student.W[living], student.a[living])
    at = np.flatnonzero(np.append(np.repeat(living, 7), living))
    plain = PopulationLoss(Network.orthonormal(6, 7), kernels.relu)
    value, gradient = loss.value_and_gradient(student.W, student.a)
    assert value == plain(smaller)
    np.testing.assert_array_equal(gradient[at], plain.gradient(smaller).ravel())
    assert not np.delete(gradient, at).any()
    direction = np.random.default_rng(0).standard_normal(32)
    product = loss.operator(student.W, student.a) @ direction
    np.testing.assert_allclose(product[at], plain.hessian(smaller) @ direction[at], atol=1e-12)
