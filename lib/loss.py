"""The population loss L = E[(f_student - f_teacher)^2] as a finite sum of Gaussian kernels.

With ``G_ij = g(w_i, w_j)``, ``T_ij = g(w_i, v_j)`` and the teacher's own ``B_ij = g(v_i, v_j)``,

    L = a.G a - 2 a.T b + b.B b,

exact: no samples, no expectation left. Derivatives follow by the chain rule through s, p and q.
Arrays are n x n, n x k and n x d only; nothing of size n x k x d is ever formed.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from lib.arguments import LARGEST_WEIGHT, first_argument, instance, whole_number
from lib.kernels import Kernel
from lib.networks import Network, split
from lib.pairs import among, between, joined

MOST_PRODUCTS = 2000  # after which conjugate gradients give up


class PopulationLoss:
    """The loss ``L(student) = E[(f_student(x) - f_teacher(x))^2]``, x ~ N(0, I), no factor 1/2.

    A finite sum of kernels, so that nothing is sampled. Every method raises ValueError for a
    student of another input dimension, for weights above 1e30, and where the mathematics has no
    value: under relu at a zero incoming vector there is no Hessian, and no gradient unless its
    outgoing weight is zero too; incoming vectors that are not zero must be longer than 1e-30.

    Parameters
    ----------
    teacher : Network (k, d)
        Of weights up to 1e30.
    kernel : kernels.Kernel

    Attributes
    ----------
    teacher, kernel
        As given.
    teacher_energy : float
        ``E[f_teacher^2]``, the loss of a student that does nothing.

    Examples
    --------
    A student that averages two teacher neurons, a critical point with a closed loss:

    >>> L = PopulationLoss(Network.orthonormal(2), kernels.erf)
    >>> student = copy_average([2])
    >>> f"{L(student):.6f}"
    '0.023222'
    >>> bool(np.abs(L.gradient(student).ravel()).max() < 1e-14)
    True
    """

    @first_argument("teacher", Network, "PopulationLoss(teacher, kernels.erf)")
    def __init__(self, teacher, kernel):
        self.teacher = teacher
        self.kernel = instance("kernel", kernel, Kernel)
        self._refuse_extremes("teacher", teacher)
        V, b = teacher.W, teacher.a
        self._weighted_teacher = b[:, None] * V
        self.teacher_energy = b @ (kernel.value_at(among(V, kernel.noise)) @ b)

    def __repr__(self):
        return f"PopulationLoss({self.teacher!r}, {self.kernel!r})"

    def __call__(self, student):
        """The loss of a student, exact up to rounding: about 1e-16 of ``teacher_energy``.

        Parameters
        ----------
        student : Network (n, d)

        Returns
        -------
        float

        Examples
        --------
        >>> teacher = Network.orthonormal(3)
        >>> PopulationLoss(teacher, kernels.relu)(teacher) < 1e-15
        True
        """
        W, a = self.weights(student)
        own = self.kernel.value_at(among(W, self.kernel.noise))
        cross = self.kernel.value_at(between(W, self.teacher.W, self.kernel.noise))
        return float(a @ (own @ a) - 2.0 * (a @ (cross @ self.teacher.a)) + self.teacher_energy)

    def gradient(self, student):
        """The gradient at a student, dL/dW (n, d) and dL/da (n,), as a Network of its shape.

        Parameters
        ----------
        student : Network (n, d)

        Returns
        -------
        Network (n, d)
            A tangent vector, which has no meaning as a student.

        Examples
        --------
        >>> L = PopulationLoss(Network.orthonormal(2), kernels.erf)
        >>> L.gradient(Network([[1.0, 0.0]], [1.0])).W.round(6)
        array([[ 0.     , -0.63662]])
        """
        W, a = self.weights(student)
        self._refuse_kinks(~W.any(axis=1) & (a != 0.0))
        _, gradient = self.value_and_gradient(W, a)
        return Network(*split(gradient, *W.shape))

    def hessian(self, student):
        """The Hessian at a student, parameters in the order of `Network.ravel`.

        Exact at copied and antipodal neurons too. Entries between nearly parallel neurons are sums
        of terms of size ``|w|`` under smooth kernels, or 1 / angle under relu, that cancel: their
        absolute error is about 1e-16 times that, 1e-12 at ``|w| = 10^4``.

        Parameters
        ----------
        student : Network (n, d)

        Returns
        -------
        array (N, N), N = n (d + 1)

        Examples
        --------
        >>> L = PopulationLoss(Network.orthonormal(2), kernels.erf)
        >>> eigenvalues = np.linalg.eigvalsh(L.hessian(Network.orthonormal(2)))
        >>> len(eigenvalues), bool(eigenvalues[0] > 0.0)
        (6, True)
        """
        W, a = self.smooth_weights(student)
        V, b = self.teacher.W, self.teacher.a
        n, d = W.shape
        own, cross = among(W, self.kernel.noise), between(W, V, self.kernel.noise)
        G, G_s, G_p = self.kernel.jet_at(own)
        _, T_s, T_p = self.kernel.jet_at(cross)
        G_ss, G_sp, G_pp, G_pq = self.kernel.hessian_at(own)
        T_ss, T_sp, T_pp, _ = self.kernel.hessian_at(cross)
        pull = _pull(W, a, G_s, G_p, T_s, T_p, self._weighted_teacher, b)

        H = np.empty((n * (d + 1), n * (d + 1)))
        in_in = H[: n * d, : n * d].reshape(n, d, n, d)
        in_out = H[: n * d, n * d :].reshape(n, d, n)
        H[n * d :, n * d :] = 2.0 * G
        diagonal = np.arange(d)
        for i, w in enumerate(W):
            # d2 g(w_i, w_j) / dw_i dw_j: rows are components of w_i, columns those of w_j.
            row = np.einsum("jx,jy->xjy", W, np.outer(G_ss[i], w) + 2.0 * G_sp[:, i, None] * W)
            per_norm = 2.0 * np.outer(G_sp[i], w) + 4.0 * G_pq[i][:, None] * W
            row += np.einsum("x,jy->xjy", w, per_norm)
            row[diagonal, :, diagonal] += G_s[i]
            in_in[i] = 2.0 * a[i] * a[:, None] * row
            # d2 / dw_i dw_i of what w_i shares with every neuron of both networks.
            own_block = _self_block(w, W, a, G_ss[i], G_sp[i], a @ G_p[i], a @ G_pp[i])
            own_block -= _self_block(w, V, b, T_ss[i], T_sp[i], b @ T_p[i], b @ T_pp[i])
            in_in[i, :, i] += 2.0 * a[i] * own_block
            in_out[i] = 2.0 * a[i] * (np.outer(w, 2.0 * G_p[i]) + W.T * G_s[i])
            in_out[i, :, i] += 2.0 * pull[i]
        H[n * d :, : n * d] = H[: n * d, n * d :].T
        return H

    def hessian_operator(self, student):
        """The Hessian as a linear operator: exact products with vectors, nothing dense is formed.

        The set-up costs about a gradient, a product somewhat less; memory is O(n (n + k + d)).

        Parameters
        ----------
        student : Network (n, d)

        Returns
        -------
        scipy.sparse.linalg.LinearOperator (N, N), N = n (d + 1)

        Examples
        --------
        >>> L = PopulationLoss(Network.orthonormal(2), kernels.erf)
        >>> student = Network([[1.0, 0.5]], [2.0])
        >>> v = np.array([1.0, 2.0, 3.0])
        >>> np.allclose(L.hessian_operator(student) @ v, L.hessian(student) @ v, rtol=0, atol=1e-12)
        True
        """
        W, a = self.smooth_weights(student)
        return self.operator(W, a)

    def monte_carlo(self, student, rng, samples):
        """The loss as a mean over sampled inputs: an independent check of the closed forms.

        Parameters
        ----------
        student : Network (n, d)
        rng : numpy.random.Generator
        samples : int
            At least 2. They are drawn in batches, so memory does not grow with it.

        Returns
        -------
        mean, error : floats
            error is the standard error of the mean.

        References
        ----------
        Batches are merged as in Chan, Golub & LeVeque (1983).

        Examples
        --------
        >>> L = PopulationLoss(Network.orthonormal(2), kernels.erf)
        >>> student = copy_average([2])
        >>> mean, error = L.monte_carlo(student, np.random.default_rng(0), samples=10_000)
        >>> bool(abs(mean - L(student)) < 5 * error)
        True
        """
        self.weights(student)
        instance("rng", rng, np.random.Generator)
        samples = whole_number("samples", samples, least=2)
        batch = max(1, 2**20 // (student.n + self.teacher.n + student.d))
        count, mean, squares = 0, 0.0, 0.0
        while count < samples:
            x = rng.standard_normal((min(batch, samples - count), student.d))
            errors = (student(x, self.kernel) - self.teacher(x, self.kernel)) ** 2
            total = count + len(errors)
            shift = errors.mean() - mean
            spread = ((errors - errors.mean()) ** 2).sum()
            squares += spread + shift**2 * count * len(errors) / total
            mean += shift * len(errors) / total
            count = total
        return float(mean), float(np.sqrt(squares / (samples - 1) / samples))

    def value_and_gradient(self, W, a):
        """The loss and its gradient at plain weights, unchecked: what a flow asks for.

        Parameters
        ----------
        W, a : arrays (n, d) and (n,)

        Returns
        -------
        value, gradient : float and array (n (d + 1),), in the order of `Network.ravel`
        """
        (G, G_s, G_p), (T, T_s, T_p) = _apart(self.kernel.jet_at(self._pairs(W)), len(W))
        pull = _pull(W, a, G_s, G_p, T_s, T_p, self._weighted_teacher, self.teacher.a)
        return self._assembled(a, pull, G @ a, T @ self.teacher.a)

    def operator(self, W, a):
        """The Hessian at plain weights, unchecked: what flows and certificates ask for.

        Parameters
        ----------
        W, a : arrays (n, d) and (n,)

        Returns
        -------
        scipy.sparse.linalg.LinearOperator (N, N)
            With the loss and the gradient there as ``value`` and ``gradient``, and ``solve(shift,
            b, tolerance, most=2000)``, which returns x with ``(H + shift) x = b`` up to a residual
            of this tolerance by conjugate gradients, and how many products that took; x is None
            where H + shift shows itself not positive definite, or after ``most`` products.
        """
        return _HessianOperator(self, W, a)

    def _pairs(self, W):
        """Of every student neuron with all student neurons, then with the teacher neurons."""
        noise = self.kernel.noise
        return joined(among(W, noise), between(W, self.teacher.W, noise))

    def _assembled(self, a, pull, own, cross):
        value = float(a @ (own - 2.0 * cross) + self.teacher_energy)
        return value, np.concatenate((((2.0 * a)[:, None] * pull).ravel(), 2.0 * (own - cross)))

    def weights(self, student):
        """The student's W and a; raises ValueError where the loss has no value."""
        instance("student", student, Network)
        if student.d != self.teacher.d:
            raise ValueError(
                f"student must have the teacher's input dimension {self.teacher.d}, got {student.d}"
            )
        self._refuse_extremes("student", student)
        return student.W, student.a

    def _refuse_extremes(self, name, network):
        lengths = np.abs(network.W).max(axis=1)
        largest = max(lengths.max(), np.abs(network.a).max())
        if largest > LARGEST_WEIGHT:
            raise ValueError(
                f"{name} must have weights of at most {LARGEST_WEIGHT:g}, got {largest:g}"
            )
        if self.kernel.homogeneous and ((lengths > 0.0) & (lengths < 1.0 / LARGEST_WEIGHT)).any():
            shortest = lengths[lengths > 0.0].min()
            raise ValueError(
                f"{name} must have incoming vectors that are zero or longer than "
                f"{1.0 / LARGEST_WEIGHT:g} under {self.kernel.name}, got {shortest:g}"
            )

    def smooth_weights(self, student):
        """The student's W and a; raises ValueError where the loss has no Hessian."""
        W, a = self.weights(student)
        self._refuse_kinks(~W.any(axis=1))
        return W, a

    def _refuse_kinks(self, zero_vectors):
        if 0.0 in self.kernel.kinks and zero_vectors.any():
            raise ValueError(
                f"student must have no zero incoming vector: under {self.kernel.name} the loss has "
                f"only one-sided derivatives there, got w_{zero_vectors.argmax()} = 0"
            )


def _apart(tables, n):
    """Tables (n, n + k) of `PopulationLoss._pairs` as those of student and of teacher neurons."""
    return [table[:, :n] for table in tables], [table[:, n:] for table in tables]


def _pull(W, a, G_s, G_p, T_s, T_p, weighted_teacher, b):
    """dL/dw_i = 2 a_i pull_i: what the residual pulls at a neuron of unit outgoing weight."""
    pull = G_s @ (a[:, None] * W)
    pull -= T_s @ weighted_teacher
    pull += (2.0 * (G_p @ a - T_p @ b))[:, None] * W
    return pull


def _self_block(w, partners, weights, g_ss, g_sp, g_p, g_pp):
    """Sum over partners v of weight d2 g(w, v) / dw dw, with g_p and g_pp already summed."""
    mixed = np.outer((weights * g_sp) @ partners, w)
    block = (weights * g_ss * partners.T) @ partners
    block += 2.0 * (mixed + mixed.T) + 4.0 * g_pp * np.outer(w, w)
    block[np.diag_indices_from(block)] += 2.0 * g_p
    return block


class _HessianOperator(LinearOperator):
    """Directional derivative of the gradient at a fixed student; symmetric."""

    def __init__(self, loss, W, a):
        size = W.size + a.size
        super().__init__(np.dtype(np.float64), (size, size))
        kernel = loss.kernel
        V, b = loss.teacher.W, loss.teacher.a
        pairs, n = loss._pairs(W), len(W)
        jet, second = kernel.jet_at(pairs), kernel.hessian_at(pairs)
        (G, G_s, G_p), (T, T_s, T_p) = _apart(jet, n)
        (_, G_sp, G_pp, G_pq), (_, _, T_pp, _) = _apart(second, n)
        # Whatever does not depend on the direction is weighted and summed over neurons once.
        outgoing = np.concatenate((a, -b))
        self._W, self._a, self._both = W, a, np.concatenate((W, V))
        self._G, self._G_s, self._G_p = G, G_s, G_p
        self._s, self._ss, self._sp = (table * outgoing for table in (jet[1], *second[:2]))
        self._G_sq_a, self._G_pq_a = G_sp.T * a, G_pq * a
        self._norm_pull = G_p @ a - T_p @ b
        self._pull = _pull(W, a, G_s, G_p, T_s, T_p, loss._weighted_teacher, b)
        self.value, self.gradient = loss._assembled(a, self._pull, G @ a, T @ b)
        bend = 2.0 * (G_pp @ a - T_pp @ b)
        self._pull_per_dp = self._sp @ self._both + bend[:, None] * W
        self._pull_per_U = self._s[:, :n] + np.diag(2.0 * self._norm_pull)

    def _matvec(self, direction):
        """Along dW = U, da = c: changes of s with every neuron and of p, then the chain rule."""
        W, a = self._W, self._a
        direction = np.asarray(direction, dtype=np.float64).ravel()
        U, c = split(direction, *W.shape)
        ds = U @ self._both.T
        own = ds[:, : a.size]
        dp = 2.0 * own.diagonal()
        own += own.T.copy()

        d_slopes = self._ss * ds
        d_slopes[:, : a.size] += self._G_sq_a * dp + self._G_s * c
        d_pull = self._pull_per_U @ U + dp[:, None] * self._pull_per_dp
        d_pull += d_slopes @ self._both
        d_norm_pull = self._G_p @ c + self._G_pq_a @ dp + _row_dots(self._sp, ds)
        d_pull += (2.0 * d_norm_pull)[:, None] * W

        product = np.empty_like(direction)
        product[: W.size] = (2.0 * (c[:, None] * self._pull + a[:, None] * d_pull)).ravel()
        d_outgoing = self._G @ c + (a * dp) @ self._G_p + dp * self._norm_pull
        product[W.size :] = 2.0 * (d_outgoing + _row_dots(self._s, ds))
        return product

    def _adjoint(self):
        return self

    def solve(self, shift, b, tolerance, most=MOST_PRODUCTS):
        """(x, products): the solution of (H + shift) x = b after so many conjugate gradient steps.

        They end when some vector of their Krylov space has a residual <= tolerance. x, whose
        residual may be larger, is nearer to the solution than that vector (Hestenes & Stiefel 1952;
        Fong & Saunders 2012). x is None if H + shift shows itself not positive definite, or after
        `most` products.
        """
        x = np.zeros_like(b)
        r, p = b.copy(), b.copy()
        square = b @ b
        smallest = square  # squared residual in the Krylov space: 1 / sum of 1 / |r|^2
        for products in range(most):
            if smallest <= tolerance**2:
                return x, products
            Ap = self._matvec(p) + shift * p
            curvature = p @ Ap
            if not curvature > 0.0:
                return None, products + 1
            step = square / curvature
            x += step * p
            r -= step * Ap
            previous, square = square, r @ r
            smallest *= square / (square + smallest)
            p *= square / previous
            p += r
        return None, most


def _row_dots(A, B):
    return np.einsum("ij,ij->i", A, B)
