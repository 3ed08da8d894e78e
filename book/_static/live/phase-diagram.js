"use strict";

/* Which of the two students is a minimum, and which of them is lower, for k teacher neurons and n student neurons, and where the stored
 * flows ended. The height is n / k; or, in the wide view, the logarithm of n / (k - n): there the three boundaries, of order k^(3/5), k
 * and k - sqrt(k), are nearly straight and well apart. */
(() => {
  const { make, number, quantity, LiveFigure, scale, draggable, fill, below, beside, title, power10 } = Live;
  const NEAR = 1000; // the largest k of the first view, in which those of the stored flows have room

  class PhaseDiagram extends LiveFigure {
    static title = "Map of k teacher neurons and n student neurons";

    build() {
      const { from } = PHASE_BOUNDARIES;
      const digits = (k) => (k < 100 ? Math.round(k) : +k.toPrecision(3));
      this.views = [false, true].map((far) => make("input", { type: "radio", name: "view", checked: !far, change: () => this.view(far) }));
      const words = [` k up to ${NEAR}`, " up to a million, n / k stretched at both ends"];
      this.controls.append(make("fieldset", {}, ...this.views.map((radio, i) => make("label", {}, radio, words[i]))));
      this.teachers = this.field("teacher neurons <i>k</i>", "k", (position) => digits(from * (this.to / from) ** (position / 1000)), (k) => (1000 * Math.log(k / from)) / Math.log(this.to / from), (k) => this.move(k, (k * this.n) / this.k));
      this.neurons = this.field("student neurons <i>n</i>", "n",
        (position) => (this.far ? PhaseDiagram.inverse((position / 500 - 1) * Math.log(this.k - 1)) * this.k : 2 + (position / 1000) * (this.k - 3)),
        (n) => (this.far ? 500 * (PhaseDiagram.height(this.k, n) / Math.log(this.k - 1) + 1) : (1000 * (n - 2)) / (this.k - 3)),
        (n) => this.move(this.k, n));
      const sign = (look, name) => make("span", { class: "live-key" }, make("span", { class: `live-mark live-mark-${look}` }), name);
      this.stage.before(make("p", { class: "live-hint live-keys" }, "Bars: stored flows. ", sign("average", "ended at copy-average"), sign("copy", "at perturbed copies"), sign("student", "elsewhere")));
      this.svg = this.drawing("Diagram of the regions over k, across, and n / k, upwards; the ring is the chosen point");
      Object.assign(this, { k: 50, n: 30, far: false });
    }

    layout() {
      this.drawRegions(Math.min(660, this.width), 380);
      this.move(this.k, this.n);
    }

    /** The largest k of the view. */
    get to() {
      return this.far ? PHASE_BOUNDARIES.to : NEAR;
    }

    view(far) {
      this.far = far;
      this.views.forEach((radio, i) => (radio.checked = far === (i === 1)));
      if (this.k > this.to) [this.k, this.n] = [this.to, (this.n * this.to) / this.k];
      if (this.width) this.layout();
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
      if (this.k > this.to) return this.view(true);
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
      const { far, to } = this, { from } = PHASE_BOUNDARIES, { boundary, height: logit } = PhaseDiagram, left = 58, right = width - 10, top = 24, foot = height - 44;
      const up = (this.up = far ? logit : (k, n) => n / k), wide = width > 480;
      const x = (this.x = scale(from, to, left, right, true)), y = (this.y = far ? scale(Math.log(1 / 1e6), Math.log(1e6), foot, top) : scale(0, 1, foot, top));
      const columns = Array.from({ length: 61 }, (_, i) => from * (to / from) ** (i / 60));
      const edges = [() => (far ? 1 : 0), ...["perturbed_stable", "losses_equal", "copy_average_unstable"].map((name) => (k) => boundary(name, k)), (k) => (far ? k - 1 : k)]
        .map((n) => columns.map((k) => `${x(k).toFixed(1)},${y(up(k, n(k))).toFixed(1)}`));
      const regions = ["live-average-only", "live-both-average", "live-both-copies", "live-copies-only"];
      const drawn = regions.map((name, i) => make("path", { d: `M${edges[i].join(" ")}L${edges[i + 1].toReversed().join(" ")}Z`, class: name }));
      for (const edge of edges.slice(1, 4)) drawn.push(make("polyline", { points: edge.join(" "), class: "live-boundary" }));
      if (far) for (let power = 1; power <= 6; power++) drawn.push(...below(x(10 ** power), foot, ...power10(power)));
      else for (const k of wide ? [10, 20, 50, 100, 200, 500, 1000] : [10, 50, 200, 1000]) drawn.push(...below(x(k), foot, String(k)));
      for (const percent of far ? ["0.001", "0.1", "1", "10", "50", "90", "99", "99.9", "99.999"] : ["0", "25", "50", "75", "100"]) drawn.push(...beside(left, y(up(100, +percent)), `${percent}%`));
      drawn.push(make("path", { d: `M${left},${top}V${foot}H${right}`, class: "live-axis" }), title((left + right) / 2, height - 6, "teacher neurons k"), make("text", { x: left - 7, y: 12, "text-anchor": "end" }, "n / k"));
      drawn.push(make("text", { x: left + 2, y: 16 }, far ? "" : "only perturbed copies are a minimum ↓"));
      const names = [[wide ? ["only copy-average", "is a minimum"] : ["only", "copy-average"], far ? -6.2 : 0.1],
        [wide ? ["both are minima,", "copy-average lower"] : ["both minima,", "copy-average", "lower"], far ? -0.4 : 0.55],
        [wide ? ["both are minima,", "copies lower"] : ["both minima,", "copies lower"], far ? 3 : 0.88], ...(far ? [[["only perturbed", "copies"], 8.2]] : [])];
      for (const [lines, at] of names) lines.forEach((line, i) => drawn.push(make("text", { x: right - 8, y: y(at) - 3 + 14 * i, "text-anchor": "end" }, line)));
      drawn.push(...this.runs());
      const area = make("rect", { x: left, y: top, width: right - left, height: foot - top, fill: "transparent" });
      this.point = make("g", { class: "live-handle" }, make("circle", { r: 20, fill: "transparent" }), make("circle", { r: 6, class: "live-ring" }));
      fill(this.svg, width, height, [...drawn, area, this.point]);
      draggable(this.svg, area, this.point, (px, py) => {
        const k = Math.round(x.back(Math.max(left, Math.min(right, px)))), at = y.back(Math.max(top, Math.min(foot, py)));
        this.move(k, (far ? PhaseDiagram.inverse(at) : at) * k);
      });
    }

    /** A bar for each (k, n) of a table, divided as its flows were: copy-average, perturbed copies, elsewhere. */
    runs() {
      const wide = Math.min(14, 0.85 * (this.x(10) - this.x(8))), drawn = [];
      for (const [k, { widths, average, copies, flows }] of Object.entries(FLOW_ENDS))
        widths.forEach((n, i) => {
          let at = this.x(+k) - wide / 2;
          const y = this.y(this.up(+k, n)), counts = { average: average[i], copy: copies[i], other: flows[i] - average[i] - copies[i] };
          for (const [look, count] of Object.entries(counts)) {
            if (count) drawn.push(make("rect", { x: at, y: y - 2, width: (wide * count) / flows[i], height: 4, class: `live-${look}-neuron`, "data-run": `${k} ${n} ${look} ${count}` }));
            at += (wide * count) / flows[i];
          }
        });
      return drawn;
    }

    refresh() {
      const { k, n } = this, { region, average, copies } = this.state;
      this.point.setAttribute("transform", `translate(${this.x(k)} ${this.y(this.up(k, n))})`);
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
