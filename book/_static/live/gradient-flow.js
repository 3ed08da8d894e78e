"use strict";

/* The gradient flow theta' = -grad L(theta). It is stiff (rates from 1e-3 to 1e2 already at k = 8), so the steps are implicit: the
 * Rosenbrock method of orders 2 and 3 of Shampine and Reichelt (1997), known as ode23s, with the Jacobian by central differences
 * of the exact gradient. A Jacobian that is off by 1e-9 costs no order of accuracy. */
class GradientFlow {
  /** theta: start, an array of n (d + 1) weights; valueAndGradient(theta) -> {loss, gradient}. */
  constructor(theta, valueAndGradient, { rtol = 1e-4, gradientTol = 1e-8 } = {}) {
    Object.assign(this, { theta, valueAndGradient, rtol, gradientTol, time: 0, steps: 0, size: 1e-3 });
    this.force = this.forceAt(theta);
  }

  get converged() {
    return this.gradientNorm <= this.gradientTol;
  }

  /** -grad L; the loss and the norm of the gradient are those of the latest call. */
  forceAt(theta) {
    const { loss, gradient } = this.valueAndGradient(theta);
    return { loss, norm: Math.hypot(...gradient), value: gradient.map((entry) => -entry) };
  }

  get loss() {
    return this.force.loss;
  }

  get gradientNorm() {
    return this.force.norm;
  }

  hessian() {
    const N = this.theta.length, H = Array.from({ length: N }, () => new Float64Array(N));
    for (let c = 0; c < N; c++) {
      const step = 1e-5 * Math.max(1, Math.abs(this.theta[c]));
      const [up, down] = [step, -step].map((shift) => {
        const moved = this.theta.slice();
        moved[c] += shift;
        return this.valueAndGradient(moved).gradient;
      });
      for (let r = 0; r < N; r++) H[r][c] = (up[r] - down[r]) / (2 * step);
    }
    return H;
  }

  /** One accepted step. */
  step() {
    const D = 1 / (2 + Math.SQRT2), E = 6 + Math.SQRT2, N = this.theta.length;
    const H = this.hessian(), y = this.theta, f0 = this.force.value;
    const combine = (...pairs) => {
      const total = new Float64Array(N);
      for (const [factor, vector] of pairs) for (let i = 0; i < N; i++) total[i] += factor * vector[i];
      return total;
    };
    for (;;) {
      const h = this.size, solve = Networks.factor(H.map((row, r) => row.map((entry, c) => h * D * entry + (r === c ? 1 : 0))));
      const k1 = solve(f0);
      const f1 = this.forceAt(combine([1, y], [h / 2, k1])).value;
      const k2 = combine([1, solve(combine([1, f1], [-1, k1]))], [1, k1]);
      const next = combine([1, y], [h, k2]), force = this.forceAt(next);
      const k3 = solve(combine([1, force.value], [-E, k2], [E, f1], [-2, k1], [2, f0]));
      const error = combine([h / 6, k1], [-h / 3, k2], [h / 6, k3]);
      let worst = 0; // root mean square would hide one neuron among many
      for (let i = 0; i < N; i++) worst = Math.max(worst, Math.abs(error[i]) / (this.rtol * Math.max(0.1, Math.abs(next[i]))));
      const change = 0.8 * worst ** (-1 / 3);
      this.size = h * (Number.isFinite(change) ? Math.min(5, Math.max(0.2, change)) : worst === 0 ? 5 : 0.2);
      if (worst <= 1 && force.loss <= this.loss + 1e-12) {
        Object.assign(this, { theta: next, force, time: this.time + h, steps: this.steps + 1 });
        return;
      }
    }
  }
}

/** Glorot-normal start: variances 2 / (n + d) for W and 2 / (n + 1) for a, from a seed (mulberry32, Box and Muller). */
GradientFlow.glorot = (seed, n, d) => {
  let state = (seed * 2654435761 + 64 * n + d) >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Float64Array.from({ length: n * (d + 1) }, (_, i) => Math.sqrt(2 / (i < n * d ? n + d : n + 1)) * normal());
};

if (typeof module !== "undefined") {
  globalThis.Networks ??= require("./networks.js");
  module.exports = GradientFlow;
}
