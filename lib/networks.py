"""Two-layer networks f(x) = sum_i a_i sigma(w_i . x); teacher and student are the same type."""

import numpy as np

from lib.arguments import finite_array, instance, integer
from lib.kernels import Kernel


class Network:
    """A network with incoming weights W (n, d) and outgoing weights a (n,), both read-only float64.

    Raises ValueError for wrong shapes, no neuron, no input, or weights that are not finite real numbers.
    Other real types than float64 are converted, see `arguments.finite_array`.
    """

    __slots__ = ("W", "a")

    def __init__(self, W, a):
        W = np.array(finite_array("W", W, ndim=2), order="C")
        a = np.array(finite_array("a", a, ndim=1))
        if 0 in W.shape:
            raise ValueError(f"W must have at least one row and one column, got shape {W.shape}")
        if a.shape != W.shape[:1]:
            raise ValueError(f"a must have one entry for each of the {W.shape[0]} rows of W, got shape {a.shape}")
        W.setflags(write=False)
        a.setflags(write=False)
        object.__setattr__(self, "W", W)
        object.__setattr__(self, "a", a)

    def __setattr__(self, name, value):
        raise AttributeError(f"a Network is immutable: make a new one instead of setting {name}")

    def __delattr__(self, name):
        raise AttributeError(f"a Network is immutable: {name} cannot be deleted")

    def __reduce__(self):
        return type(self), (self.W, self.a)

    def __repr__(self):
        return f"Network(n={self.n}, d={self.d})"

    @classmethod
    def orthonormal(cls, k, d=None):
        """The teacher of the paper: incoming vectors e_1, ..., e_k in R^d (d = k if None), a = 1.

        Raises ValueError unless k and d are integers with 1 <= k <= d.
        """
        k = integer("k", k, least=1)
        d = k if d is None else integer("d", d, least=k)
        return cls(np.eye(k, d), np.ones(k))

    @property
    def n(self):
        """Number of hidden neurons."""
        return self.W.shape[0]

    @property
    def d(self):
        """Input dimension."""
        return self.W.shape[1]

    def __call__(self, x, kernel):
        """Outputs (batch,) on inputs x (batch, d), with the activation of `kernel`; ValueError if they overflow."""
        x = finite_array("x", x, ndim=2)
        if x.shape[1] != self.d:
            raise ValueError(f"x must have {self.d} columns, one for each input, got shape {x.shape}")
        instance("kernel", kernel, Kernel)
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = kernel.sigma(x @ self.W.T) @ self.a
        if not np.isfinite(outputs).all():
            raise ValueError(f"x must be small enough for outputs within float64, got {np.abs(x).max():g}")
        return outputs

    def ravel(self):
        """All n (d + 1) parameters as one vector: W row by row, then a."""
        return np.concatenate((self.W.ravel(), self.a))

    @classmethod
    def unravel(cls, theta, n, d):
        """The network whose `ravel()` is theta; raises ValueError unless theta has n (d + 1) entries."""
        n, d = integer("n", n, least=1), integer("d", d, least=1)
        theta = finite_array("theta", theta, ndim=1)
        if theta.size != n * (d + 1):
            raise ValueError(f"theta must have n (d + 1) = {n * (d + 1)} entries, got {theta.size}")
        return cls(*split(theta, n, d))


def split(theta, n, d):
    """(W, a): the weights (..., n, d) and (..., n) that vectors theta (..., n (d + 1)) hold, as views.

    theta is in the order of `Network.ravel()`, and unchecked.
    """
    return theta[..., : n * d].reshape(*theta.shape[:-1], n, d), theta[..., n * d :]
