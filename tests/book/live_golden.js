"use strict";

/* The largest relative error of each formula of networks.js against the table of lib; of a vector, relative to its largest entry.
 * What is zero in the table may be 1e-13. Runs in node and, as the argument of page.evaluate, in a browser. */
const goldenErrors = (Networks, golden) => {
  const largest = (values) => Math.max(...values.map(Math.abs));
  const error = (found, wanted) => {
    if (found === null || found.length !== wanted.length || found.some(Number.isNaN)) return Infinity;
    return largest(wanted.map((value, i) => found[i] - value)) / Math.max(largest(wanted), 1e-4);
  };
  const same = (found, wanted) => (JSON.stringify(found) === JSON.stringify(wanted) ? 0 : Infinity);
  const names = { "copy-average": "copy-average", "perturbed-copies": "perturbed copies", other: "other" };
  const checks = {
    loss_and_gradient: ({ theta, n, d, k, loss, gradient }) => {
      const found = Networks.lossAndGradient(Float64Array.from(theta), n, d, k);
      return Math.max(error([found.loss], [loss]), error([...found.gradient], gradient));
    },
    copy_average: ({ sizes, d, theta, loss }) => {
      const groups = sizes.map((size, i) => Array.from({ length: size }, (_, j) => sizes.slice(0, i).reduce((s, l) => s + l, 0) + j));
      return Math.max(theta ? error([...Networks.copyAverage(groups, d)], theta) : 0, error([Networks.copyAverageLoss(sizes)], [loss]));
    },
    partitions: ({ k, n, all }) => same(Networks.partitions(k, n), all),
    perturbed_copies: ({ k, n, ...numbers }) => {
      const found = Networks.perturbedCopies(k, n);
      return found ? Math.max(...Object.entries(numbers).map(([name, value]) => error([found[name]], [value]))) : Infinity;
    },
    one_neuron: ({ activation, k, a, r, loss, points, losses }) => {
      const best = Networks.oneNeuron(activation, k), at = points.map(([a, r]) => Networks.oneNeuronLoss(activation, k, a, r));
      return Math.max(error([best.a], [a]), error([best.r], [r]), error([best.loss], [loss]), ...at.map((value, i) => error([value], [losses[i]])));
    },
    identify: ({ theta, n, d, k, kind, sizes }) => same(Networks.identify(Float64Array.from(theta), n, d, k), { kind: names[kind], sizes }),
  };
  return Object.fromEntries(Object.entries(golden).map(([name, cases]) => [name, Math.max(...cases.map(checks[name]))]));
};

if (typeof module !== "undefined") {
  const [networks, table] = process.argv.slice(2);
  const errors = goldenErrors(require(networks), require(table)), infinite = (_, value) => (value === Infinity ? "inf" : value);
  console.log(JSON.stringify(errors, infinite));
}
