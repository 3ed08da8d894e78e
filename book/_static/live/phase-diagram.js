"use strict";

/* Which of the two configurations is a minimum, and which of them is lower, for k teachers and n students. The height is the logarithm
 * of n / (k - n): there the three boundaries, of order k^(3/5), k and k - sqrt(k), are nearly straight and well apart. */
(() => {
  const { make, number, quantity, LiveFigure, scale, draggable, fill, below, beside, title, power10 } = Live;

  class PhaseDiagram extends LiveFigure {
    static title = "Phase diagram of k teachers and n students";

    build() {
      const { from, to } = PHASE_BOUNDARIES;
      const digits = (k) => (k < 100 ? Math.round(k) : +k.toPrecision(3));
      this.teachers = this.field("teachers <i>k</i>", "k", (position) => digits(from * (to / from) ** (position / 1000)), (k) => (1000 * Math.log(k / from)) / Math.log(to / from), (k) => this.move(k, (k * this.n) / this.k));
      this.neurons = this.field("students <i>n</i>", "n", (position) => PhaseDiagram.inverse((position / 500 - 1) * Math.log(this.k - 1)) * this.k, (n) => 500 * (PhaseDiagram.height(this.k, n) / Math.log(this.k - 1) + 1), (n) => this.move(this.k, n));
      this.svg = this.drawing("Diagram of the regions over k, across, and n / k, upwards; the ring is the chosen point");
      Object.assign(this, { k: 50, n: 40 });
    }

    layout() {
      this.drawRegions(Math.min(660, this.width), 360);
      this.move(this.k, this.n);
    }

    static height = (k, n) => Math.log(n / (k - n));
    static inverse = (height) => 1 / (1 + Math.exp(-height)); // n / k

    /** A slider with positions 0 to 1000 and a number field for the same integer; a slider's step moves it by 1 at least. */
    field(label, name, value, position, changed) {
      const slider = this.slider(label, { min: 0, max: 1000, step: 1, name, show: () => String(this[name] ?? "") }, (at) => {
        const next = Math.round(value(at));
        changed(next === this[name] ? next + Math.sign(at - position(next)) : next);
      });
      const input = make("input", { type: "number", min: name === "k" ? PHASE_BOUNDARIES.from : 2, step: 1, "aria-label": slider.previousSibling.textContent, "data-field": name, change: () => changed(Math.round(+input.value) || this[name]) });
      slider.nextSibling.replaceWith(input);
      slider.parentElement.classList.add("live-wide");
      return { position, slider, input };
    }

    /** Real n of the boundary `name` at k, by a cubic through four rows of the table, in a quantity that varies little. */
    static boundary(name, k) {
      const { from, to } = PHASE_BOUNDARIES, table = PHASE_BOUNDARIES[name], last = table.length - 1;
      const at = (last * Math.log(k / from)) / Math.log(to / from), first = Math.min(last - 3, Math.max(0, Math.floor(at) - 1)), u = at - first;
      const weights = [-(u - 1) * (u - 2) * (u - 3) / 6, (u * (u - 2) * (u - 3)) / 2, (-u * (u - 1) * (u - 3)) / 2, (u * (u - 1) * (u - 2)) / 6];
      const mean = (f) => weights.reduce((total, weight, i) => total + weight * f(table[first + i], from * (to / from) ** ((first + i) / last)), 0);
      if (name === "perturbed_stable") return k ** 0.6 * Math.exp(mean((n, k_i) => Math.log(n / k_i ** 0.6)));
      if (name === "losses_equal") return k * PhaseDiagram.inverse(mean((n, k_i) => PhaseDiagram.height(k_i, n)));
      return k + 1 - Math.sqrt(k) * Math.exp(mean((n, k_i) => Math.log((k_i + 1 - n) / Math.sqrt(k_i))));
    }

    move(k, n) {
      this.k = Math.min(PHASE_BOUNDARIES.to, Math.max(PHASE_BOUNDARIES.from, Math.round(k)));
      this.n = Math.min(this.k - 1, Math.max(2, Math.round(n)));
      for (const [field, value] of [[this.teachers, this.k], [this.neurons, this.n]]) {
        field.slider.set({ value: field.position(value) });
        field.slider.setAttribute("aria-valuetext", value);
        field.input.value = value;
      }
      this.neurons.input.max = this.k - 1;
      this.refresh();
    }

    /** {region, average, copies}: the name of the region, and loss and excess of both configurations. */
    get state() {
      const { k, n } = this, m = k - n + 1;
      const average = { loss: Networks.copyAverageLoss([m]), excess: Networks.groupExcess(m) }, copies = Networks.perturbedCopies(k, n);
      const region = n < PhaseDiagram.boundary("perturbed_stable", k) ? "only copy-average" :
        n > PhaseDiagram.boundary("copy_average_unstable", k) ? "only perturbed copies" :
        copies.excess > average.excess ? "both, copy-average lower" : "both, perturbed copies lower";
      return { region, average, copies };
    }

    drawRegions(width, height) {
      const { from, to } = PHASE_BOUNDARIES, { boundary, height: up } = PhaseDiagram, right = width - 10, foot = height - 44;
      const x = (this.x = scale(from, to, 58, right, true)), y = (this.y = scale(Math.log(1 / 1e6), Math.log(1e6), foot, 10));
      const columns = Array.from({ length: 61 }, (_, i) => from * (to / from) ** (i / 60));
      const edges = [() => 1, ...["perturbed_stable", "losses_equal", "copy_average_unstable"].map((name) => (k) => boundary(name, k)), (k) => k - 1]
        .map((n) => columns.map((k) => `${x(k).toFixed(1)},${y(up(k, n(k))).toFixed(1)}`));
      const regions = ["live-average-only", "live-both-average", "live-both-copies", "live-copies-only"];
      const drawn = regions.map((name, i) => make("path", { d: `M${edges[i].join(" ")}L${edges[i + 1].toReversed().join(" ")}Z`, class: name }));
      for (const edge of edges.slice(1, 4)) drawn.push(make("polyline", { points: edge.join(" "), class: "live-boundary" }));
      for (let power = 1; power <= 6; power++) drawn.push(...below(x(10 ** power), foot, ...power10(power)));
      for (const percent of ["0.001", "0.1", "1", "10", "50", "90", "99", "99.9", "99.999"]) drawn.push(...beside(58, y(up(100, +percent)), `${percent}%`));
      drawn.push(make("path", { d: `M58,10V${foot}H${right}`, class: "live-axis" }), title((58 + right) / 2, height - 6, "teachers k"), make("text", { x: 63, y: 20 }, "n / k"));
      const names = [["only copy-average is a minimum", -6.2], ["both; copy-average is lower", -0.4], ["both; perturbed copies are lower", 2.2], ...(width > 480 ? [["only perturbed copies are a minimum", 7.6]] : [["only perturbed", 8.6], ["copies", 7.5]])];
      for (const [name, at] of names) drawn.push(make("text", { x: right - 8, y: y(at) + 4, "text-anchor": "end" }, width > 480 ? name : name.replace(/ (is|are) a minimum| (is|are)(?= lower)/, "")));
      const area = make("rect", { x: 58, y: 10, width: right - 58, height: foot - 10, fill: "transparent" });
      this.point = make("g", { class: "live-handle" }, make("circle", { r: 20, fill: "transparent" }), make("circle", { r: 6, class: "live-ring" }));
      fill(this.svg, width, height, [...drawn, area, this.point]);
      draggable(this.svg, area, this.point, (px, py) => {
        const k = Math.round(x.back(Math.max(58, Math.min(right, px))));
        this.move(k, PhaseDiagram.inverse(y.back(py)) * k);
      });
    }

    refresh() {
      const { k, n } = this, { region, average, copies } = this.state;
      this.point.setAttribute("transform", `translate(${this.x(k)} ${this.y(PhaseDiagram.height(k, n))})`);
      const at = ["perturbed_stable", "losses_equal", "copy_average_unstable"].map((name) => PhaseDiagram.boundary(name, k).toFixed(2));
      const says = {
        "only copy-average": "Only copy-average is a minimum; perturbed copies are a saddle.",
        "both, copy-average lower": "Both are minima, and copy-average is lower.",
        "both, perturbed copies lower": "Both are minima, and perturbed copies are lower.",
        "only perturbed copies": "Only perturbed copies are a minimum; copy-average is a saddle.",
      };
      this.say(`<i>k</i> = ${k}, <i>n</i> = ${n}: ${quantity("region", says[region])} Losses: copy-average ${quantity("copy-average", number(average.loss))}, ` +
        `perturbed copies ${quantity("perturbed copies", number(copies.loss))}; the second minus the first is ${quantity("difference", number(copies.excess - average.excess, 3).replace("-", "−"), "span")}. ` +
        `For <i>k</i> = ${k}, perturbed copies are a minimum above <i>n</i> = ${quantity("perturbed_stable", at[0], "span")} and lower above ${quantity("losses_equal", at[1], "span")}; copy-average is a minimum below ${quantity("copy_average_unstable", at[2], "span")}.`);
    }
  }

  customElements.define("phase-diagram", PhaseDiagram);
})();
