"""Two-layer networks f(x) = sum_i a_i sigma(w_i . x); teacher and student are the same type."""

import numbers
import sys
from zipfile import BadZipFile

import numpy as np

from lib.arguments import file_name, finite_array, instance, integer, real, shown
from lib.kernels import Kernel

_LARGEST = sys.float_info.max


class Network:
    """A two-layer network ``f(x) = sum_i a_i sigma(w_i . x)``, a teacher or a student; immutable.

    Parameters
    ----------
    W : array (n, d)
        Incoming weights, a row for each neuron.
    a : array (n,)
        Outgoing weights. Both are copied, and kept as read-only float64 arrays of the same names.

    Raises
    ------
    ValueError
        For wrong shapes, no neuron, no input, and entries that are not finite real numbers.

    Notes
    -----
    Networks of one shape are points of a vector space, and gradients, which have the same type,
    its tangent vectors: ``+``, ``-``, and ``*`` and ``/`` with a number act on all weights, so that
    ``student - 0.1 * L.gradient(student)`` is a step of gradient descent. It is not the functions
    that are added. ``sum(networks)`` works, too. An array is no factor: which weights it scales is
    written out, as in ``Network(c[:, None] * student.W, student.a)``. Two networks are equal where
    all weights are, and equal ones have one hash.

    Examples
    --------
    >>> student = Network([[1.0, 0.5], [0.0, 2.0]], [1.0, -1.0])
    >>> student
    Network(n=2, d=2)
    >>> student.W[1], student.a
    (array([0., 2.]), array([ 1., -1.]))
    >>> student + student == 2 * student
    True
    """

    __slots__ = ("W", "a")
    __array_ufunc__ = None  # so that a number of NumPy leaves its product with a network to us

    def __init__(self, W, a):
        W = np.array(finite_array("W", W, ndim=2), order="C")
        a = np.array(finite_array("a", a, ndim=1))
        if 0 in W.shape:
            raise ValueError(f"W must have at least one row and one column, got shape {W.shape}")
        if a.shape != W.shape[:1]:
            raise ValueError(
                f"a must have one entry for each of the {W.shape[0]} rows of W, got shape {a.shape}"
            )
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

    def __eq__(self, other):
        if not isinstance(other, Network):
            return NotImplemented
        return np.array_equal(self.W, other.W) and np.array_equal(self.a, other.a)

    def __hash__(self):
        return hash((self.W.shape, (self.ravel() + 0.0).tobytes()))  # -0.0 equals 0.0

    def __add__(self, other):
        if not isinstance(other, Network):
            raise TypeError(f"a Network is added to one of its shape alone, got {shown(other)}")
        if self.W.shape != other.W.shape:
            raise ValueError(f"networks to add must have one shape, got {self!r} and {other!r}")
        with np.errstate(over="ignore"):  # what is infinite is refused
            return Network(self.W + other.W, self.a + other.a)

    def __radd__(self, other):  # sum(networks) begins with 0
        return self if isinstance(other, int) and other == 0 else self + other

    def __mul__(self, factor):
        self._refuse_but_numbers("factor", factor)
        factor = real("factor", factor, -_LARGEST, _LARGEST)
        with np.errstate(over="ignore"):
            return Network(factor * self.W, factor * self.a)

    __rmul__ = __mul__

    def __truediv__(self, divisor):
        self._refuse_but_numbers("divisor", divisor)
        divisor = real("divisor", divisor, -_LARGEST, _LARGEST)
        if divisor == 0.0:
            raise ValueError("divisor must not be 0, got 0")
        with np.errstate(over="ignore"):
            return Network(self.W / divisor, self.a / divisor)

    def __neg__(self):
        return -1.0 * self

    def __sub__(self, other):
        return self + (-other if isinstance(other, Network) else other)

    @staticmethod
    def _refuse_but_numbers(name, value):
        if not isinstance(value, numbers.Real):
            raise TypeError(
                f"{name} of a Network must be one number, for all of W and a, got {shown(value)}: "
                "Network(W, a) makes one of any other weights"
            )

    @classmethod
    def orthonormal(cls, k, d=None):
        """The teacher of the paper: incoming vectors e_1, ..., e_k in R^d, outgoing weights 1.

        Parameters
        ----------
        k, d : int
            ``1 <= k <= d``; d = k if None.

        Returns
        -------
        Network (k, d)

        Examples
        --------
        >>> Network.orthonormal(2, 3).W
        array([[1., 0., 0.],
               [0., 1., 0.]])
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
        """The outputs f(x).

        Parameters
        ----------
        x : array (batch, d)
            Inputs, one in each row.
        kernel : kernels.Kernel
            Its activation is sigma.

        Returns
        -------
        array (batch,)

        Raises
        ------
        ValueError
            Where an output is too large for float64.

        Examples
        --------
        >>> Network([[1.0, 1.0]], [2.0])([[1.0, 2.0], [1.0, -3.0]], kernels.relu)
        array([6., 0.])
        """
        x = finite_array("x", x, ndim=2)
        if x.shape[1] != self.d:
            raise ValueError(
                f"x must have {self.d} columns, one for each input, got shape {x.shape}"
            )
        instance("kernel", kernel, Kernel)
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = kernel.sigma(x @ self.W.T) @ self.a
        if not np.isfinite(outputs).all():
            raise ValueError(
                f"x must be small enough for outputs within float64, got {np.abs(x).max():g}"
            )
        return outputs

    def ravel(self):
        """All parameters as one vector: W row by row, then a.

        Returns
        -------
        array (n (d + 1),)

        Examples
        --------
        >>> Network([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]).ravel()
        array([1., 2., 3., 4., 5., 6.])
        """
        return np.concatenate((self.W.ravel(), self.a))

    @classmethod
    def unravel(cls, theta, n, d):
        """The network whose `Network.ravel` is theta.

        Parameters
        ----------
        theta : array (n (d + 1),)
        n, d : int

        Returns
        -------
        Network (n, d)

        Examples
        --------
        >>> Network.unravel([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], n=2, d=2).a
        array([5., 6.])
        """
        n, d = integer("n", n, least=1), integer("d", d, least=1)
        theta = finite_array("theta", theta, ndim=1)
        if theta.size != n * (d + 1):
            raise ValueError(f"theta must have n (d + 1) = {n * (d + 1)} entries, got {theta.size}")
        return cls(*split(theta, n, d))

    def save(self, path):
        """Write the weights to a file, which `Network.load` reads, and ``numpy.load`` too.

        Parameters
        ----------
        path : str or pathlib.Path
            Its name is taken as it is; .npz is what NumPy calls such files.

        Examples
        --------
        >>> import tempfile
        >>> student = Network([[1.0, 2.0]], [3.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     student.save(f"{folder}/student.npz")
        ...     Network.load(f"{folder}/student.npz") == student
        True
        """
        with open(file_name("path", path), "wb") as file:
            np.savez(file, W=self.W, a=self.a)

    @classmethod
    def load(cls, path):
        """The network of a file that `Network.save` wrote, to the last bit.

        Parameters
        ----------
        path : str or pathlib.Path

        Returns
        -------
        Network (n, d)

        Raises
        ------
        ValueError
            For a file that holds anything else than W and a.
        OSError
            Where there is no such file.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Network.orthonormal(2, 3).save(f"{folder}/teacher.npz")
        ...     Network.load(f"{folder}/teacher.npz").W
        array([[1., 0., 0.],
               [0., 1., 0.]])
        """
        wrong = f"path must be a file of Network.save, with arrays W and a alone, got {shown(path)}"
        with open(file_name("path", path), "rb") as file:
            if not file.read(2) == b"PK":  # as every .npz begins
                raise ValueError(f"{wrong}, which is no .npz file")
            file.seek(0)
            try:
                arrays = dict(np.load(file, allow_pickle=False))
            except (ValueError, EOFError, OSError, BadZipFile) as error:
                raise ValueError(f"{wrong}: {error}") from None
        if set(arrays) != {"W", "a"}:
            raise ValueError(wrong)
        return cls(**arrays)


def split(theta, n, d):
    """The weights that vectors hold in the order of `Network.ravel`, as views; nothing is checked.

    Parameters
    ----------
    theta : array (..., n (d + 1))
    n, d : int

    Returns
    -------
    W, a : arrays (..., n, d) and (..., n)

    Examples
    --------
    >>> from lib.networks import split
    >>> W, a = split(np.arange(6.0), n=2, d=2)
    >>> a
    array([4., 5.])
    """
    return theta[..., : n * d].reshape(*theta.shape[:-1], n, d), theta[..., n * d :]
