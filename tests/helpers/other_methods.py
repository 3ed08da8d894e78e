"""Right answers to the problem sets that go other ways than the solutions: five for each set, full marks for all.

Each is code that runs after the solution has, in its names, and puts other functions in the place of some of them.
"""

METHODS = {
    "critical_points": {
        "the library's loss, and signs in the outgoing weights": """
critical = "YYNYNY"
def group_price(l, c, rho, b):
    teacher = block_teacher((l,), c, norm=rho, b=b)
    return PopulationLoss(teacher, kernels.erf)(averages(teacher, [list(range(l))]))
def signed_averages(b, groups):
    upright = averages(Network(np.diag(np.sign(b)), np.abs(b)), groups)
    signs = np.where(np.arange(len(groups)) % 2, -1.0, 1.0)
    return Network(signs[:, None] * upright.W, signs * upright.a)
""",
        "quadrature and bisection": """
from scipy.integrate import quad
def group_price(l, c, rho, b):
    if l == 1:
        return 0
    arcsine = lambda x: quad(lambda t: (1 - t * t) ** -0.5, 0, x, epsabs=1e-13, epsrel=1e-13)[0]
    tau = rho**2 / (1 + rho**2)
    mean = arcsine(tau * (1 + (l - 1) * c) / l)
    return 2 / np.pi * b**2 * (l * arcsine(tau) + l * (l - 1) * arcsine(c * tau) - l**2 * mean)
def threshold(sizes):
    low, high = 0.0, 0.5
    while high - low > 1e-7:
        c = (low + high) / 2
        teacher = block_teacher(sizes, c)
        H = PopulationLoss(teacher, kernels.erf).hessian(averages(teacher, blocks(sizes)))
        low, high = (c, high) if np.linalg.eigvalsh(H).min() < 0 else (low, c)
    return (low + high) / 2
""",
        "plain Python, and a test of definiteness": """
import math
def group_price(l, c, rho, b):
    y = rho * rho / (rho * rho + 1)
    cross = l * math.asin(y) + l * (l - 1) * math.asin(y * c)
    return (cross - l * l * math.asin(y / l + y * c * (l - 1) / l)) * b * b / math.asin(1)
def threshold(sizes):
    def stable(c):
        teacher = block_teacher(sizes, c)
        try:
            np.linalg.cholesky(PopulationLoss(teacher, kernels.erf).hessian(averages(teacher, blocks(sizes))))
        except np.linalg.LinAlgError:
            return False
        return True
    edge, step = 0.0, 0.25
    while step > 1e-8:
        edge, step = (edge if stable(edge + step) else edge + step), step / 2
    return edge
def signed_averages(b, groups):
    W, a = np.zeros((len(groups), len(b))), []
    for row, group in zip(W, groups):
        l = len(group)
        for j in group:
            row[j] = math.copysign(1 / math.sqrt(2 * l * l - l), b[j])
        a.append(l * abs(b[group[0]]))
    return Network(W, a)
""",
        "differences of gradients, and squares": """
def threshold(sizes):
    def smallest(c):
        teacher = block_teacher(sizes, c)
        student = averages(teacher, blocks(sizes))
        L, theta, h = PopulationLoss(teacher, kernels.erf), student.ravel(), 1e-5
        shape = student.n, student.d
        slope = lambda theta: L.gradient(Network.unravel(theta, *shape)).ravel()
        H = np.array([(slope(theta + e) - slope(theta - e)) / (2 * h) for e in h * np.eye(len(theta))])
        return np.linalg.eigvalsh((H + H.T) / 2)[0]
    return brentq(smallest, 1e-6, 0.5, xtol=1e-8)
def counterexample():
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    first = np.column_stack([np.full(4, 0.6), 0.8 * square])
    second = np.column_stack([0.8 * square[:, 0], np.full(4, 0.6), 0.8 * square[:, 1]])
    turn = np.array([[np.cos(0.5), 0, np.sin(0.5)], [0, 1, 0], [-np.sin(0.5), 0, np.cos(0.5)]])
    return Network(np.concatenate([first, second @ turn]), np.ones(8)), (range(4), np.arange(4, 8))
""",
        "root finding from both sides": """
from scipy.optimize import root_scalar
def threshold(sizes):
    def smallest(c):
        teacher = block_teacher(sizes, c)
        L, student = PopulationLoss(teacher, kernels.erf), averages(teacher, blocks(sizes))
        return np.linalg.svd(L.hessian(student), hermitian=True)[1].min() * np.sign(np.linalg.eigvalsh(
            L.hessian_operator(student) @ np.eye(student.n * (student.d + 1)))[0])
    return root_scalar(smallest, bracket=(0.0, 0.5), method="ridder", xtol=1e-9).root
def group_price(l, c, rho, b):
    V = rho * np.linalg.cholesky(np.full((l, l), c) + (1 - c) * np.eye(l))
    Y = to_ball(V)
    y, kappa = Y.mean(axis=0), lambda t: 2 / np.pi * np.arcsin(t)
    return b**2 * (kappa(Y @ Y.T).sum() + l**2 * kappa(y @ y) - 2 * l * kappa(Y @ y).sum())
""",
    },
    "optimal_copy_average": {
        "quadrature of a difference without cancellation": """
from scipy.integrate import quad
cheapest = "ACA"
def group_price(l, norm):
    tau = norm**2 / (1 + norm**2)
    def difference(t):
        u, v = 1 - t * t, 1 - (t / l) ** 2
        return l * t * t * (1 - 1 / l**2) / (u * v) / (u**-0.5 + v**-0.5)
    return 2 / np.pi * quad(difference, 0, tau, epsabs=0, epsrel=1e-12)[0]
""",
        "many terms, summed exactly": """
import math
def group_price(l, norm):
    tau = norm**2 / (1 + norm**2)
    if l == 1:
        return 0
    terms, c = [], 1.0
    for q in range(3, 1500, 2):
        c *= (q - 2) ** 2 / ((q - 1) * q)
        terms.append(c * tau**q * (l - float(l) ** (2 - q)))
    return 2 / math.pi * math.fsum(terms)
order_answers = "YYN"
""",
        "losses of all students": """
def best_sharing(k_short, k_long, short, long, n):
    losses = {}
    L = PopulationLoss(teacher_of([short] * k_short + [long] * k_long), kernels.erf)
    for i in range(1, n):
        j = n - i
        if i <= k_short and j <= k_long:
            sizes = [1] * (i - 1) + [k_short - i + 1] + [1] * (j - 1) + [k_long - j + 1]
            losses[L(student_of(sizes, [short] * i + [long] * j))] = i, j
    least = min(losses)
    return [np.int64(losses[least][0]), losses[least][1], least]
def kernel_price(c, l, tau):
    kappa = np.polynomial.Polynomial(c)
    return l**2 * kappa(tau / l) - 2 * l * l * kappa(tau / l) + l * kappa(tau) + l * (l - 1) * kappa(0)
""",
        "signs of a factorization": """
from scipy.linalg import ldl
def ways_down(sizes, norms):
    L = PopulationLoss(teacher_of(np.repeat(norms, sizes)), kernels.erf)
    D = ldl(L.hessian(student_of(sizes, norms)))[1]
    return np.sum(np.linalg.eigvalsh(D) < -1e-9)
def kernel_price(c, l, tau):
    total = 0
    for q, weight in enumerate(c):
        if q:
            total = total + weight * (l * tau**q - l * l * (tau / l) ** q)
    return total
""",
        "Hessian-vector products, and sharing one by one": """
def ways_down(sizes, norms):
    student = student_of(sizes, norms)
    operator = PopulationLoss(teacher_of(np.repeat(norms, sizes)), kernels.erf).hessian_operator(student)
    return len([x for x in np.linalg.eigvalsh(operator @ np.eye(operator.shape[0])) if x < -1e-8])
def best_sharing(k_short, k_long, short, long, n):
    best = None
    for n_short in range(k_short, 0, -1):
        n_long = n - n_short
        if 1 <= n_long <= k_long:
            loss = group_price(k_short - n_short + 1, short) + group_price(k_long - n_long + 1, long)
            if best is None or loss < best[2]:
                best = (n_short, n_long, loss)
    return best
""",
    },
    "one_neuron": {
        "two exponentials, and Newton's method": """
guess = "CBA"
def sine_kernel(s, p, q, omega):
    x = omega * omega
    if s < 0:
        return -sine_kernel(-s, p, q, omega)
    return -np.exp(-x * (p + q) / 2 + x * s) * np.expm1(-2 * x * s) / 2
def critical_frequency(k):
    z = 1.0
    for _ in range(20):
        z -= (z * np.tanh(z) - 1) / (np.tanh(z) + z / np.cosh(z) ** 2)
    return (k * z) ** 0.5
""",
        "many digits": """
from decimal import Decimal, localcontext
def sine_kernel(s, p, q, omega):
    with localcontext() as context:
        context.prec = 50
        s, p, q, x = Decimal(s), Decimal(p), Decimal(q), Decimal(omega) ** 2
        return float(((x * (2 * s - p - q) / 2).exp() - (-x * (2 * s + p + q) / 2).exp()) / 2)
def sine_average(k, omega):
    x = omega**2
    a = k * np.exp(-x / 2 + x / (2 * k))
    return a, k**-0.5, one_neuron_loss(np.append(np.full(k, 1 / k), a), k, omega)
""",
        "bisection and a grid": """
def critical_frequency(k):
    low, high = 1.0, 2.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if middle * np.tanh(middle) < 1 else (low, middle)
    return np.sqrt(k * low)
def best_loss(k, omega):
    x = omega**2
    def loss(alpha, gamma):
        own = np.sinh(x * (alpha**2 + (k - 1) * gamma**2))
        return np.exp(-x) * (k * np.sinh(x) - (np.sinh(x * alpha) + (k - 1) * np.sinh(x * gamma)) ** 2 / own)
    centres, width = [(alpha, gamma) for alpha in np.arange(0.1, 1.2, 0.1) for gamma in np.arange(-0.1, 0.7, 0.1)], 0.1
    while width > 1e-6:
        near = np.linspace(-width, width, 9)
        found = sorted((loss(a + u, g + v), a + u, g + v) for a, g in centres for u in near for v in near
                       if (a + u) ** 2 + (g + v) ** 2 > 1e-6)
        centres, width = [(a, g) for _, a, g in found[:4]], width / 2 if len(centres) < 9 else width / 4
    return found[0][0]
""",
        "the loss itself, minimized": """
def best_loss(k, omega):
    ends = []
    def loss(u):
        return one_neuron_loss([u[0]] + [u[1]] * (k - 1) + [u[2]], k, omega)
    x = omega**2
    for alpha, gamma in [(1 / k, 1 / k), (1.0, 0.0), (0.9, 0.1), (0.7, 0.2), (1 / k + 0.1, 1 / k - 0.05)]:
        p = alpha**2 + (k - 1) * gamma**2
        cross = sine_kernel(alpha, p, 1.0, omega) + (k - 1) * sine_kernel(gamma, p, 1.0, omega)
        start = [alpha, gamma, cross / sine_kernel(p, p, p, omega)]
        options = {"xatol": 1e-8, "fatol": 1e-14, "maxiter": 4000, "maxfev": 4000}
        ends.append(minimize(loss, start, method="Nelder-Mead", options=options).fun)
    return min(ends)
def sine_average(k, omega):
    x, r = omega**2, 1 / np.sqrt(k)
    a = k * np.exp(x * (r**2 - 1) / 2)
    return np.array([a, r, k * (1 - np.exp(-2 * x)) / 2 + k**2 * (np.exp(-x - x / k) - np.exp(-x + x / k)) / 2])
""",
        "a fixed point, and weights on a circle": """
def critical_frequency(k):
    z = 1.2
    for _ in range(60):
        z = (z + 1 / np.tanh(z)) / 2
    return float(np.sqrt(k * z))
def best_loss(k, omega):
    from scipy.optimize import minimize_scalar
    x = omega**2
    def explained(angle):
        alpha, gamma = np.cos(angle), np.sin(angle) / np.sqrt(k - 1)
        def negative(r):
            overlap = np.sinh(x * r * alpha) + (k - 1) * np.sinh(x * r * gamma)
            return -2 * np.log(abs(overlap)) + np.log(np.sinh(x * r * r))
        return minimize_scalar(negative, bounds=(0.01, 1.5), method="bounded", options={"xatol": 1e-10}).fun
    angles = np.linspace(0.0, 1.4, 141)
    values = [explained(angle) for angle in angles]
    best = []
    for i in np.argsort(values)[:12]:
        bounds = (max(angles[i] - 0.01, 1e-9), angles[i] + 0.01)
        best.append(minimize_scalar(explained, bounds=bounds, method="bounded", options={"xatol": 1e-9}).fun)
    return np.exp(-x) * (k * np.sinh(x) - np.exp(-min(best)))
""",
    },
    "gradient_flow": {
        "row by row, and a loop": """
clocks = "CBCA"
def sphere_start(rng, n, d, radius):
    rows = []
    for _ in range(n):
        v = rng.normal(size=d)
        rows.append(radius * v / np.sqrt(v @ v))
    return Network(rows, [1] * n)
def runs_needed(p, confidence):
    runs, left = 0, 1.0
    while left > 1 - confidence:
        runs, left = runs + 1, left * (1 - p)
    return runs
""",
        "a distribution of scipy": """
from scipy.stats import beta, uniform_direction
def sphere_start(rng, n, d, radius):
    return Network(radius * uniform_direction.rvs(d, n, random_state=rng), np.ones(n))
def fraction_at_copies(k, n, radius, seeds):
    L, kinds = PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf), []
    for seed in seeds:
        start = sphere_start(np.random.default_rng([k, n, seed]), n, k + 1, radius)
        end = certify(L, gradient_flow(L, start, gradient_tol=1e-6, rtol=1e-4).student)
        kinds.append(end.kind == "strict minimum" and identify(L, end.student).kind)
    found, N = kinds.count("perturbed-copies"), len(kinds)
    low = beta.ppf(0.025, found, N - found + 1) if found else 0
    high = beta.ppf(0.975, found + 1, N - found) if found < N else 1
    return found, low, high
""",
        "rejection, and the rate from two points": """
def sphere_start(rng, n, d, radius):
    rows = []
    while len(rows) < n:
        v = rng.uniform(-1, 1, d)
        if 1e-6 < v @ v <= 1:
            rows.append(radius * v / np.linalg.norm(v))
    return Network(np.array(rows), np.ones(n))
def slowest_rate(L, start):
    flow = gradient_flow(L, start, gradient_tol=1e-10, rtol=1e-8)
    excess = flow.losses - flow.losses[-1]
    i, j = np.argmax(excess < 1e-8), np.argmax(excess < 1e-11)
    return np.log(excess[i] / excess[j]) / (flow.times[j] - flow.times[i]) / 2
""",
        "logarithms, and a median of slopes": """
import math
def runs_needed(p, confidence):
    return math.ceil(math.log1p(-confidence) / math.log1p(-p))
def slowest_rate(L, start):
    flow = gradient_flow(L, start, gradient_tol=1e-10, rtol=1e-8)
    excess = flow.losses - flow.losses.min()
    late = np.flatnonzero((excess < 1e-8) & (excess > 1e-11))
    return -np.median(np.gradient(np.log(excess[late]), flow.times[late])) / 2
def sphere_start(rng, n, d, radius):
    W = rng.standard_normal((d, n)).T
    return Network(-radius * W / np.hypot.reduce(W, axis=1)[:, None], np.ones(n))
""",
        "root finding for the interval": """
from scipy.optimize import brentq
from scipy.stats import binom
def fraction_at_copies(k, n, radius, seeds):
    L, found, N = PopulationLoss(Network.orthonormal(k, k + 1), kernels.erf), 0, len(list(seeds))
    for seed in seeds:
        start = sphere_start(np.random.default_rng([k, n, seed]), n, k + 1, radius)
        end = certify(L, gradient_flow(L, start, gradient_tol=1e-6, rtol=1e-4).student)
        if end.kind == "strict minimum" and identify(L, end.student).kind == "perturbed-copies":
            found += 1
    low = brentq(lambda p: binom.sf(found - 1, N, p) - 0.025, 0, 1, xtol=1e-14) if found > 0 else 0.0
    high = brentq(lambda p: binom.cdf(found, N, p) - 0.025, 0, 1, xtol=1e-14) if found < N else 1.0
    return found, low, high
def runs_needed(p, confidence):
    high = 1
    while (1 - p) ** high > 1 - confidence:
        high *= 2
    return int(np.argmax((1 - p) ** np.arange(high + 1) <= 1 - confidence))
""",
    },
    "relu": {
        "both halves of the activation": """
leaks = "ABBB"
def leaky_kernel(s, p, q, slope):
    return (1 + slope**2) * kernels.relu(s, p, q) - 2 * slope * kernels.relu(-s, p, q)
def as_relu(network, slope):
    W = np.repeat(network.W, 2, axis=0) * np.tile([1, -1], network.n)[:, None]
    return Network(W, (network.a[:, None] * [1, -slope]).ravel())
def rescue_slope(k):
    g, u = kernels.relu(-1 / np.sqrt(k), 1.0, 1.0), 1 / np.sqrt(k)
    return (2 * g + u - np.sqrt((2 * g + u) ** 2 - 4 * g**2)) / (2 * g)
""",
        "an angle by hand": """
import math
def leaky_kernel(s, p, q, slope):
    angle = math.acos(max(-1.0, min(1.0, s / math.sqrt(p * q))))
    half = math.sqrt(p * q) * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
    return (1 - slope) ** 2 * half + slope * s
def as_relu(network, slope):
    return Network(np.vstack([-2 * network.W, 2 * network.W]), np.append(-slope * network.a, network.a) / 2)
""",
        "quadrature over the angle": """
from scipy.integrate import quad
def leaky_kernel(s, p, q, slope):
    x = lambda t: p**0.5 * np.cos(t)
    y = lambda t: s / p**0.5 * np.cos(t) + max(q - s * s / p, 0.0) ** 0.5 * np.sin(t)
    kinks = [np.pi / 2, 3 * np.pi / 2, *((np.arctan2(max(q - s * s / p, 0.0) ** 0.5, s / p**0.5) + turn) % (2 * np.pi)
             for turn in (np.pi / 2, 3 * np.pi / 2))]
    value = lambda t: leaky(x(t), slope) * leaky(y(t), slope)
    return quad(value, 0, 2 * np.pi, points=kinks, limit=200)[0] / np.pi
def rescue_slope(k):
    low, high = 0.0, 1.0
    while high - low > 1e-8:
        slope = (low + high) / 2
        low, high = (slope, high) if (1 - slope) ** 2 * gamma(-1 / k**0.5) > slope / k**0.5 else (low, slope)
    return low
""",
        "a parabola through three losses": """
def leaky_optimum(k, slope):
    L, w = PopulationLoss(as_relu(Network.orthonormal(k), slope), kernels.relu), np.full((1, k), k**-0.5)
    at = [L(as_relu(Network(w, [A]), slope)) for A in (0.0, 1.0, 2.0)]
    c, b, a = at[0], (4 * at[1] - 3 * at[0] - at[2]) / 2, (at[0] - 2 * at[1] + at[2]) / 2
    return -b / (2 * a), c - b * b / (4 * a)
def rescue_slope(k):
    g, u, slope = gamma(-1 / np.sqrt(k)), 1 / np.sqrt(k), 0.0
    for _ in range(500):
        slope += 0.5 * ((1 - slope) ** 2 * g / u - slope)
    return slope
""",
        "the stationary strength": """
def leaky_optimum(k, slope):
    own, cross = leaky_kernel(1.0, 1.0, 1.0, slope), leaky_kernel(1 / np.sqrt(k), 1.0, 1.0, slope)
    energy = k * own + k * (k - 1) * leaky_kernel(0.0, 1.0, 1.0, slope)
    A = brentq(lambda A: A * own - k * cross, 0.0, 10.0 * k, xtol=1e-13, rtol=1e-13)
    return [A, A**2 * own - 2 * A * k * cross + energy]
def as_relu(network, slope):
    W, a = [], []
    for w, weight in zip(network.W, network.a):
        W += [list(-w), list(w)]
        a += [-slope * weight, weight]
    return Network(W, a)
""",
    },
    "training": {
        "weighted means of all gradients": """
scales = "ABCB"
def neuron_adam(L, start, rate, steps):
    student, slopes = start, []
    for _ in range(steps):
        slopes.append(L.gradient(student))
        age = np.arange(len(slopes))[::-1]
        W, a = (np.average([getattr(g, part) for g in slopes], axis=0, weights=0.9**age) for part in "Wa")
        squares = [((g.W**2).sum(1) + g.a**2) / (start.d + 1) for g in slopes]
        size = np.sqrt(np.average(squares, axis=0, weights=0.999**age)) + 1e-8
        student = Network(student.W - rate * W / size[:, None], student.a - rate * a / size)
    return student
""",
        "neuron after neuron, with running means": """
def neuron_adam(L, start, rate, steps):
    W, a = start.W.copy(), start.a.copy()
    first, second = np.zeros((start.n, start.d + 1)), [0.0] * start.n
    for t in range(1, steps + 1):
        g = L.gradient(Network(W, a))
        for i in range(start.n):
            own = np.append(g.W[i], g.a[i])
            first[i] += (own - first[i]) * 0.1 / (1 - 0.9**t)
            second[i] += (own @ own / len(own) - second[i]) * 0.001 / (1 - 0.999**t)
            change = rate * first[i] / (second[i] ** 0.5 + 1e-8)
            W[i], a[i] = W[i] - change[:-1], a[i] - change[-1]
    return Network(W, a)
def sign_test(one, other):
    both = {"copy-average", "perturbed-copies"}
    changed = [y for x, y in zip(one, other) if {x, y} == both]
    won = changed.count("perturbed-copies")
    return len(changed) - won, won, binomtest(won, max(len(changed), 1)).pvalue if changed else 1
""",
        "exact counts in plain Python": """
import math
def sign_test(one, other):
    lost = list(zip(one, other)).count(("perturbed-copies", "copy-average"))
    won = list(zip(one, other)).count(("copy-average", "perturbed-copies"))
    m = lost + won
    even = sum(math.comb(m, i) for i in range(m + 1) if abs(2 * i - m) >= abs(won - lost))
    return lost, won, even / 2**m
def pairs_needed(share, level, power):
    m = 1
    while True:
        tail, c = 0.0, -1  # p is at most the level for c or fewer on one side
        while c + 1 < m / 2 and 2 * (tail + math.comb(m, c + 1) / 2**m) <= level:
            c, tail = c + 1, tail + math.comb(m, c + 1) / 2**m
        few = [math.comb(m, i) * (share**i * (1 - share) ** (m - i) + share ** (m - i) * (1 - share) ** i)
               for i in range(c + 1)]
        if sum(few) >= power:
            return m
        m += 1
""",
        "the library's test for each outcome": """
def pairs_needed(share, level, power):
    for m in range(1, 150):
        if sum(binom.pmf(x, m, share) for x in range(m + 1) if binomtest(x, m).pvalue <= level) >= power:
            return m
def sign_test(one, other):
    signs = np.array([["copy-average", "perturbed-copies"].index(x) if x[-6:] in ("verage", "copies") else np.nan
                      for x in one + other]).reshape(2, -1)
    change = signs[1] - signs[0]
    lost, won = int((change < 0).sum()), int((change > 0).sum())
    return [lost, won, 1.0 if lost == won else 2 * binom.cdf(min(lost, won), lost + won, 0.5)]
""",
        "all weights in a row": """
def neuron_adam(L, start, rate, steps):
    n, d, theta = start.n, start.d, start.ravel()
    owner = np.append(np.repeat(np.arange(n), d), np.arange(n))
    m, r = np.zeros_like(theta), np.zeros(n)
    for t in range(steps):
        g = L.gradient(Network.unravel(theta, n, d)).ravel()
        m, r = 0.9 * m + 0.1 * g, 0.999 * r + 0.001 * np.bincount(owner, g * g) / (d + 1)
        root = np.sqrt(r / (1 - 0.999 ** (t + 1))) + 1e-8
        theta = theta - rate / (1 - 0.9 ** (t + 1)) * m / root[owner]
    return Network.unravel(theta, n, d)
def pairs_needed(share, level, power):
    m = np.arange(1, 150)
    critical = np.array([np.flatnonzero(2 * binom.cdf(np.arange(x // 2 + 1), x, 0.5) <= level).size - 1 for x in m])
    found = binom.cdf(critical, m, share) + binom.cdf(critical, m, 1 - share)
    return int(m[np.argmax(found >= power)])
""",
    },
}
