"use strict";

/* One glyph for a student below its teacher, as lib/figures.py draws it: teacher neurons are squares in a row above, student neurons
 * circles below with an area that grows with |a_i|, lines as wide as the weights a_i w_ij, negative ones dashed. */
const Glyph = (() => {
  const RADIUS = 0.3; // of a circle with |a| = 1, in distances between teacher neurons

  /** a_i w_ij, rows of an array (n, k). */
  const pathWeights = (theta, n, d, k) => Array.from({ length: n }, (_, i) => Array.from({ length: k }, (_, j) => theta[n * d + i] * theta[i * d + j]));

  const radii = (theta, n, d) => Array.from({ length: n }, (_, i) => RADIUS * Math.sqrt(Math.abs(theta[n * d + i])));

  /** "copy" where one teacher neuron has more than half of the squared weights, else "other". */
  const roles = (weights) => weights.map((row) => {
    const squares = row.map((weight) => weight * weight);
    return Math.max(...squares) > 0.5 * squares.reduce((total, square) => total + square, 0) ? "copy" : "other";
  });

  /** x of the student neurons, each below its largest weights, none on another: `places` of lib/figures.py. */
  function places(weights, radii) {
    const k = weights[0].length;
    const wanted = weights.map((row) => {
      const fourth = row.map((weight) => weight ** 4), total = fourth.reduce((sum, value) => sum + value, 0);
      return total > 0 ? fourth.reduce((sum, value, j) => sum + value * j, 0) / total : (k - 1) / 2;
    });
    const order = wanted.map((_, i) => i).sort((i, j) => wanted[i] - wanted[j] || i - j), offsets = [0];
    for (let i = 1; i < order.length; i++) offsets.push(offsets[i - 1] + Math.max(1, radii[order[i]] + radii[order[i - 1]]));
    const blocks = []; // [mean, size]: neighbours that would overlap move together
    order.forEach((i, at) => {
      blocks.push([wanted[i] - offsets[at], 1]);
      while (blocks.length > 1 && blocks.at(-2)[0] >= blocks.at(-1)[0]) {
        const [right, many] = blocks.pop(), [left, few] = blocks.pop();
        blocks.push([(right * many + left * few) / (many + few), many + few]);
      }
    });
    const x = new Array(order.length);
    blocks.flatMap(([mean, size]) => Array(size).fill(mean)).forEach((mean, at) => (x[order[at]] = mean + offsets[at]));
    return x;
  }

  /** Fill `svg` with the glyph of theta, a student with k teacher neurons; named: the roles, where the weights alone do not tell. */
  function draw(svg, width, height, theta, n, k, named) {
    const { make, fill } = Live, weights = pathWeights(theta, n, k, k), radius = radii(theta, n, k), role = named ?? roles(weights);
    const spacing = width / (k + 1), side = Math.min(14, 0.5 * spacing), unit = Math.min(3, spacing / 2), x = places(weights, radius);
    const size = Math.min(1, 14 / (RADIUS * spacing * 2)), largest = Math.max(...radius) * spacing * size;
    const top = side / 2 + 1, foot = height - Math.max(10, largest + 1), across = (j) => (j + 1) * spacing;
    const lines = new Map(); // one path for all lines of one look: there may be thousands
    weights.forEach((row, i) => row.forEach((weight, j) => {
      const wide = unit * Math.abs(weight);
      if (wide < 0.005) return;
      const look = JSON.stringify([role[i], weight < 0, +wide.toPrecision(3)]);
      lines.set(look, `${lines.get(look) ?? ""}M${across(j).toFixed(1)},${top}L${across(x[i]).toFixed(1)},${foot.toFixed(1)}`);
    }));
    fill(svg, width, height, [
      ...[...lines].map(([look, d]) => {
        const [name, negative, wide] = JSON.parse(look);
        return make("path", { d, class: `live-weight live-${name}-weight`, "stroke-width": wide, "stroke-dasharray": negative && "4 3" });
      }),
      ...Array.from({ length: k }, (_, j) => make("rect", { x: across(j) - side / 2, y: top - side / 2, width: side, height: side, class: "live-teacher" })),
      ...radius.map((r, i) => make("circle", { cx: across(x[i]), cy: foot, r: Math.max(0.8, r * spacing * size), class: `live-${role[i]}-neuron` })),
    ]);
  }

  /** The weights of the two students of the book for (k, n). */
  const copyAverage = (k, n) =>
    Networks.copyAverage(Array.from({ length: n }, (_, i) => (i < n - 1 ? [i] : Array.from({ length: k - n + 1 }, (_, j) => n - 1 + j))), k);

  function perturbedCopies(k, n) {
    const { alpha, beta, gamma, a } = Networks.perturbedCopies(k, n), theta = new Float64Array(n * (k + 1)).fill(a);
    for (let i = 0; i < n; i++) for (let j = 0; j < k; j++) theta[i * k + j] = i === j ? alpha : j < n ? beta : gamma;
    return theta;
  }

  /** Fill `svg` with one of them, and with what a screen reader says of it. */
  function drawCopyAverage(svg, width, height, k, n) {
    draw(svg, width, height, copyAverage(k, n), n, k, Array.from({ length: n }, (_, i) => (i < n - 1 ? "copy" : "average")));
    svg.setAttribute("aria-label", `Copy-average: ${n - 1} student neurons below one teacher neuron each, one below the other ${k - n + 1}`);
  }

  function drawPerturbedCopies(svg, width, height, k, n) {
    draw(svg, width, height, perturbedCopies(k, n), n, k, Array(n).fill("copy"));
    svg.setAttribute("aria-label", `Perturbed copies: ${n} student neurons below one teacher neuron each, with thin lines to the others`);
  }

  return { pathWeights, radii, roles, places, draw, copyAverage, perturbedCopies, drawCopyAverage, drawPerturbedCopies };
})();

if (typeof module !== "undefined") module.exports = Glyph;
