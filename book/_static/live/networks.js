"use strict";

/* What the live figures compute: formulas of lib/ once more, for erf students of k orthonormal teachers e_1, ..., e_k with
 * outgoing weights 1, in y = w / sqrt(1 + |w|^2), where the kernel is (2/pi) arcsin(y . y'). tests/book/live_golden.json holds
 * what lib says for each of them. Students are flat arrays theta: W (n, d) row by row, then a (n), as Network.ravel(). */
const Networks = (() => {
  const HALF_ROOT = Math.SQRT1_2; // |p_j|: the teachers are p_j = e_j / sqrt(2)
  const ORDERS = Array.from({ length: 30 }, (_, i) => 2 * i + 3);
  const COEFFICIENTS = []; // arcsin t = t + sum c_q t^q
  for (const q of ORDERS) COEFFICIENTS.push(((COEFFICIENTS.at(-1) ?? 1) * (q - 2) ** 2) / (q * (q - 1)));
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const LOST = (2 / Math.PI) * sum(ORDERS.map((q, i) => COEFFICIENTS[i] * 0.5 ** q)); // a teacher of which only the linear part is left

  /** {loss, gradient}: L(theta) = E[(f_student - f_teacher)^2] and its gradient in theta. */
  function lossAndGradient(theta, n, d, k) {
    const a = theta.subarray(n * d), gradient = new Float64Array(theta.length);
    const y = new Float64Array(n * d), root = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      let square = 1;
      for (let x = 0; x < d; x++) square += theta[i * d + x] ** 2;
      root[i] = Math.sqrt(square);
      for (let x = 0; x < d; x++) y[i * d + x] = theta[i * d + x] / root[i];
    }
    let loss = (k * Math.PI) / 6;
    for (let i = 0; i < n; i++) {
      const pull = new Float64Array(d); // (pi/4) dL/dy_i = a_i pull
      let own = 0, cross = 0;
      for (let j = 0; j < n; j++) {
        let c = 0;
        for (let x = 0; x < d; x++) c += y[i * d + x] * y[j * d + x];
        own += a[j] * Math.asin(c);
        const slope = a[j] / Math.sqrt((i === j ? root[i] ** -2 : 1 - c) * (1 + c)); // 1 - |y|^2 without cancellation
        for (let x = 0; x < d; x++) pull[x] += slope * y[j * d + x];
      }
      for (let j = 0; j < k; j++) {
        const t = HALF_ROOT * y[i * d + j];
        cross += Math.asin(t);
        pull[j] -= HALF_ROOT / Math.sqrt(1 - t * t);
      }
      let along = 0;
      for (let x = 0; x < d; x++) along += pull[x] * y[i * d + x];
      for (let x = 0; x < d; x++) gradient[i * d + x] = ((4 / Math.PI) * a[i] * (pull[x] - along * y[i * d + x])) / root[i];
      gradient[n * d + i] = (4 / Math.PI) * (own - cross);
      loss += a[i] * (own - 2 * cross);
    }
    return { loss: (2 / Math.PI) * loss, gradient };
  }

  /** The student with one neuron for each group of teachers, arrays of indices below d; an empty group leaves it idle, w = 0 and a = 0. */
  function copyAverage(groups, d) {
    const n = groups.length, theta = new Float64Array(n * (d + 1));
    groups.forEach((group, i) => {
      const l = group.length;
      for (const j of group) theta[i * d + j] = 1 / Math.sqrt(l * (2 * l - 1));
      theta[n * d + i] = l;
    });
    return theta;
  }

  /** What the loss of a group of real size l >= 1 exceeds (l - 1) LOST by. */
  function groupExcess(l) {
    return (-2 / Math.PI) * sum(ORDERS.map((q, i) => COEFFICIENTS[i] * 0.5 ** q * Math.expm1((2 - q) * Math.log(l))));
  }

  const copyAverageLoss = (sizes) => sum(sizes.map((l) => (l - 1) * LOST + groupExcess(l)));

  /** All partitions of k into n parts >= 1, the parts ascending, in lexicographic order. */
  function partitions(k, n, least = 1) {
    if (n === 1) return [[k]];
    const found = [];
    for (let first = least; first * n <= k; first++)
      for (const rest of partitions(k - first, n - 1, first)) found.push([first, ...rest]);
    return found;
  }

  /** b -> the solution x of A x = b, by Gaussian elimination with pivots; A, an array of rows, is overwritten. */
  function factor(A) {
    const N = A.length, order = A.map((_, i) => i);
    for (let c = 0; c < N; c++) {
      let pivot = c;
      for (let r = c + 1; r < N; r++) if (Math.abs(A[r][c]) > Math.abs(A[pivot][c])) pivot = r;
      [A[c], A[pivot], order[c], order[pivot]] = [A[pivot], A[c], order[pivot], order[c]];
      for (let r = c + 1; r < N; r++) {
        const ratio = (A[r][c] /= A[c][c]), row = A[r], top = A[c];
        for (let j = c + 1; j < N; j++) row[j] -= ratio * top[j];
      }
    }
    return (b) => {
      const x = Float64Array.from(order, (i) => b[i]);
      for (let r = 1; r < N; r++) for (let c = 0; c < r; c++) x[r] -= A[r][c] * x[c];
      for (let r = N - 1; r >= 0; r--) {
        for (let c = r + 1; c < N; c++) x[r] -= A[r][c] * x[c];
        x[r] /= A[r][r];
      }
      return x;
    };
  }

  /** {alpha, beta, gamma, a, loss, excess} of perturbed copies for real 2 <= n < k, or null where none is found: lib/students/perturbed.py. */
  function perturbedCopies(k, n) {
    // At n = 2 a guess; else continued from the teacher at n -> k by secant steps in log n.
    const theta = n === 2 ? newton([(Math.sqrt(k) + Math.SQRT2) / 4, 0, 0, k / 2], k, n) : continueFromTeacher(k, n);
    if (!theta) return null;
    const z = weights(theta, n), [A, B, G] = z, a = theta[3];
    if (!(A > G && G > 0 && (n - 1) * B < 1e-12 && a > 1 - 1e-12)) return null;
    const y = z.map((entry) => entry / a), [squared, C] = products(y, k, n).map((row) => inner(row, y));
    const other = (n - 1) * y[1] ** 2 + (k - n) * y[2] ** 2;
    const own = sum(ORDERS.map((q, i) => {
      const power = squared ** (q / 2), change = Math.expm1(0.5 * q * Math.log1p(-other / squared));
      return COEFFICIENTS[i] * ((a * power - HALF_ROOT ** q) ** 2 - 2 * a * HALF_ROOT ** q * power * change);
    }));
    const cross = (n - 1) * a * (a * jets(C)[0] - 2 * jets(HALF_ROOT * y[1])[0]) - 2 * a * (k - n) * jets(HALF_ROOT * y[2])[0];
    const excess = (2 / Math.PI) * (n * theta[1] ** 2 + (k - n) * theta[2] ** 2 + n * (own + cross));
    const [alpha, beta, gamma] = y.map((entry) => entry / Math.sqrt(1 - squared));
    return { alpha, beta, gamma, a, loss: (k - n) * LOST + excess, excess };
  }

  const inner = (u, v) => sum(u.map((entry, i) => entry * v[i]));

  // theta = (A, rho, sigma, a): (A, B, G) = a y are a neuron's weights on its own, another copied and an uncopied teacher, and
  // rho = A + (n - 1) B - 1/sqrt 2 and sigma = n G - 1/sqrt 2 are what the linear part misses on copied and uncopied ones.
  const weights = ([A, rho, sigma], n) => [A, (HALF_ROOT + rho - A) / (n - 1), (HALF_ROOT + sigma) / n];

  /** The matrices of |z|^2 and z_i . z_j as quadratic forms in z = (A, B, G), applied to z. */
  const products = ([A, B, G], k, n) => [[A, (n - 1) * B, (k - n) * G], [B, A + (n - 2) * B, (k - n) * G]];

  /** h, h', h'' and h - t h' of h(t) = arcsin t - t. */
  function jets(t) {
    const jet = [0, 0, 0, 0];
    ORDERS.forEach((q, i) => {
      const term = COEFFICIENTS[i] * t ** (q - 2);
      jet[0] += term * t * t;
      jet[1] += q * term * t;
      jet[2] += q * (q - 1) * term;
      jet[3] += (1 - q) * term * t * t;
    });
    return jet;
  }

  /** Gradient (4) and Hessian (4, 4) of (pi/2) (L / n) in theta: a sum of terms weight a^e h(T / a^e); null where arcsin ends. */
  function derivatives(theta, k, n) {
    const a = theta[3], z = weights(theta, n), Mz = products(z, k, n);
    const J = [[1, 0, 0], [-1 / (n - 1), 1 / (n - 1), 0], [0, 0, 1 / n]]; // dz / dtheta without a
    const terms = [
      ...Mz.map((row, i) => ({ e: 2, weight: i ? n - 1 : 1, T: inner(row, z), dT: row.map((x) => 2 * x) })),
      ...z.map((x, i) => ({ e: 1, weight: -2 * [1, n - 1, k - n][i], T: HALF_ROOT * x, dT: [0, 1, 2].map((j) => (i === j ? HALF_ROOT : 0)) })),
    ];
    const stiff = [0, 2, (2 * (k - n)) / n, 0];
    const gradient = stiff.map((s, i) => s * theta[i]), hessian = stiff.map((s, i) => stiff.map((_, j) => (i === j ? s : 0)));
    for (const [index, { e, weight, T, dT }] of terms.entries()) {
      const t = T / a ** e, [, slope, curvature, rest] = jets(t);
      if (!(Math.abs(t) < 0.6)) return null;
      const along = [0, 1, 2].map((j) => sum([0, 1, 2].map((i) => dT[i] * J[i][j])));
      const drift = [...along, -e * t * a ** (e - 1)]; // a^e dt / dtheta
      for (let i = 0; i < 3; i++) gradient[i] += weight * slope * along[i];
      gradient[3] += weight * e * a ** (e - 1) * rest;
      for (let i = 0; i < 4; i++) for (let j = 0; j < 4; j++) hessian[i][j] += ((weight * curvature) / a ** e) * drift[i] * drift[j];
      if (e === 2) {
        hessian[3][3] += 2 * weight * rest;
        const M = [0, 1, 2].map((j) => products([0, 1, 2].map((i) => (i === j ? 1 : 0)), k, n)[index]); // column j
        for (let i = 0; i < 3; i++)
          for (let j = 0; j < 3; j++)
            for (let u = 0; u < 3; u++) for (let v = 0; v < 3; v++) hessian[i][j] += 2 * weight * slope * J[u][i] * M[v][u] * J[v][j];
      }
    }
    return { gradient, hessian };
  }

  function newton(theta, k, n) {
    let size = Infinity;
    for (let iteration = 0; iteration < 10; iteration++) {
      if (!(theta[3] > 0 && theta.every(Number.isFinite))) return null;
      const at = derivatives(theta, k, n), settled = size < 1e-8; // then one more step ends in rounding
      if (!at) return null;
      const step = factor(at.hessian)(at.gradient);
      theta = theta.map((entry, i) => entry - step[i]);
      if (settled) return theta;
      size = Math.max(...theta.map((entry, i) => Math.abs(step[i]) / Math.max(1, Math.abs(entry))));
    }
    return null;
  }

  function continueFromTeacher(k, n) {
    const logs = ([A, rho, sigma, a]) => [Math.log(A), rho, sigma, Math.log(a)]; // A and a vary by powers of n / k
    const target = Math.log1p((k - n) / n);
    let here = 0, at = logs([HALF_ROOT, 0, 0, 1]), slope = [0, 0, 0, 0], step = 0.2, theta = null;
    while (here < target) {
      const there = Math.min(here + step, target), guess = at.map((entry, i) => entry + slope[i] * (there - here));
      theta = newton([Math.exp(guess[0]), guess[1], guess[2], Math.exp(guess[3])], k, there === target ? n : k * Math.exp(-there));
      const found = theta && theta[0] > 0 ? logs(theta) : null;
      // A point far from the guess may lie on another branch: come closer first.
      if (found && found.every((entry, i) => Math.abs(entry - guess[i]) < 0.15)) {
        slope = found.map((entry, i) => (entry - at[i]) / (there - here));
        [here, at, step] = [there, found, Math.min(1.5 * step, 1)];
      } else if ((step /= 2) < 1e-4) return null;
    }
    return theta;
  }

  // One neuron at equal angles: L(a, r) = a^2 G(r) - 2 a k T(r) + E[f_teacher^2].
  const gamma = (u) => (Math.sqrt(1 - u * u) + u * (Math.PI - Math.acos(u))) / (2 * Math.PI); // relu kernel of unit vectors
  const ONE_NEURON = {
    erf: {
      G: (r) => (2 / Math.PI) * Math.asin((r * r) / (1 + r * r)),
      T: (r, k) => (2 / Math.PI) * Math.asin(r / Math.sqrt(2 * k * (1 + r * r))),
      teacher: (k) => k / 3,
      best: (k) => ({ a: k, r: 1 / Math.sqrt(2 * k - 1), loss: copyAverageLoss([k]) }),
    },
    relu: {
      G: (r) => (r * r) / 2,
      T: (r, k) => r * gamma(1 / Math.sqrt(k)),
      teacher: (k) => k / 2 + (k * (k - 1)) / (2 * Math.PI),
      best: (k) => {
        const strength = 2 * k * gamma(1 / Math.sqrt(k)); // only a r is determined
        return { a: strength, r: 1, loss: ONE_NEURON.relu.teacher(k) - strength ** 2 / 2 };
      },
    },
  };

  function oneNeuronLoss(activation, k, a, r) {
    const { G, T, teacher } = ONE_NEURON[activation];
    return a * a * G(r) - 2 * a * k * T(r, k) + teacher(k);
  }

  const oneNeuron = (activation, k) => ONE_NEURON[activation].best(k);

  /** The best outgoing weight for a given length r. */
  const bestOutgoing = (activation, k, r) => (k * ONE_NEURON[activation].T(r, k)) / ONE_NEURON[activation].G(r);

  /** sqrt(2) a_i y_ij, rows of an array (n, k): the part of teacher j's linear part that neuron i represents. */
  function shares(theta, n, d, k) {
    return Array.from({ length: n }, (_, i) => {
      const w = theta.subarray(i * d, (i + 1) * d), scale = (Math.SQRT2 * theta[n * d + i]) / Math.hypot(1, ...w);
      return Array.from(w.subarray(0, k), (entry) => scale * entry);
    });
  }

  /** {kind, sizes}: 'copy-average', 'perturbed copies' or 'other', by the shares to within 0.02. */
  function identify(theta, n, d, k) {
    const share = shares(theta, n, d, k), near = (value, goal) => Math.abs(value - goal) < 0.02;
    const owners = Array.from({ length: k }, (_, j) => share.reduce((best, row, i) => (row[j] > share[best][j] ? i : best), 0));
    const sizes = share.map((_, i) => owners.filter((owner) => owner === i).length);
    if (sizes.every((size) => size > 0) && share.every((row, i) => row.every((value, j) => near(value, owners[j] === i ? 1 : 0))))
      return { kind: "copy-average", sizes: sizes.sort((l, m) => l - m) };
    const copied = share.map((row) => row.indexOf(Math.max(...row))), numbers = n > 1 && n < k ? perturbedCopies(k, n) : null;
    if (numbers && new Set(copied).size === n) {
      const { alpha, beta, gamma: rest, a } = numbers;
      const scale = (Math.SQRT2 * a) / Math.sqrt(1 + alpha ** 2 + (n - 1) * beta ** 2 + (k - n) * rest ** 2);
      const goal = (i, j) => scale * (copied[i] === j ? alpha : copied.includes(j) ? beta : rest);
      if (share.every((row, i) => row.every((value, j) => near(value, goal(i, j))))) return { kind: "perturbed copies", sizes: [] };
    }
    return { kind: "other", sizes: [] };
  }

  return {
    lossAndGradient, copyAverage, copyAverageLoss, groupExcess, partitions, factor, perturbedCopies, LOST,
    oneNeuron, oneNeuronLoss, bestOutgoing, shares, identify,
  };
})();

if (typeof module !== "undefined") module.exports = Networks;
