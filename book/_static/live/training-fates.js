"use strict";

/* Where the students of the stored runs are after training: the scales of the initial W and a and the optimiser against the fate, with
 * exact intervals, and the fates that change when the flow is replaced by another way to train from the same initialisations. */
(() => {
  const { make, quantity, LiveFigure, scale, fill, place, title } = Live;
  const { fates, intervals } = TRAINING_FATES;
  const factor = (power) => (power < 0 ? `1/${2 ** -power}` : String(2 ** power));
  const several = (count, rest) => `${count === 0 ? "none" : count} ${rest}`;

  class TrainingFates extends LiveFigure {
    static title = "Scale of the initial weights and optimiser against the student that training finds";
    static caption = "What became of the stored runs. Above, the two minima with the number of runs in their basins and the exact 95% interval of the fraction. Below, a bar for each scale: perturbed copies (blue), copy-average (orange), elsewhere (grey), " +
      "with the interval of the blue part; without a bar there are no runs. Only the flow has scales of W and a apart; for k = 50 there are the flow and, at scale 1, Adam.";

    build() {
      this.classList.add("live-fates");
      Object.assign(this, { size: "8,6", way: "gradient flow", w: 0, a: 0 });
      const choices = (legend, name, options, chosen, changed) => this.controls.append(make("fieldset", {}, make("legend", {}, ...legend),
        ...options.map(([value, label]) => make("label", {}, make("input", { type: "radio", name, value, checked: value === chosen, change: () => changed(value) }), ` ${label}`))));
      choices([make("i", {}, "k"), " teacher, ", make("i", {}, "n"), " student neurons"], "fates-size", Object.keys(fates).map((size) => [size, size.replace(",", ", ")]), this.size, (size) => this.change({ size }));
      choices(["training by"], "fates-way", Object.keys(fates["8,6"]).map((way) => [way, way]), this.way, (way) => this.change({ way }));
      const slider = (letter, name) => this.slider(`initial <i>${letter}</i> times`, { min: -5, max: 2, value: 0, show: factor, name }, (power) => this.change({ [name]: power }));
      this.sliders = { w: slider("W", "w"), a: slider("a", "a") };
      this.together = make("p", { class: "live-hint" });
      this.stage.before(this.together);
      this.copies = this.answer("copy", "Perturbed copies");
      this.average = this.answer("average", "Copy-average");
      this.bars = this.drawing("");
      this.bars.addEventListener("click", (event) => this.change({ w: this.toPower(place(this.bars, event)[0]) }));
      this.change({});
    }

    answer(look, name) {
      const glyph = make("svg", { role: "img" }), facts = make("p");
      this.stage.append(make("div", { class: `live-answer live-answer-${look}` }, make("p", {}, make("strong", {}, name)), glyph, facts));
      return { glyph, facts };
    }

    layout() {
      this.draw();
    }

    /** Some of size, way, w and a are other ones; where the table has no such runs, the nearest that it has. */
    change(wanted) {
      const before = { w: this.w, a: this.a };
      Object.assign(this, wanted);
      const ways = fates[this.size];
      if (!ways[this.way]) this.way = "gradient flow";
      this.cells = ways[this.way];
      const powers = Object.keys(this.cells).map((key) => key.split(",").map(Number));
      this.apart = powers.some(([w, a]) => w !== a);
      if (!this.apart) {
        const moved = "a" in wanted ? "a" : "w", to = this[moved], up = to > before[moved], all = powers.map(([w]) => w).sort((x, y) => x - y);
        this.w = this.a = up ? (all.find((power) => power >= to) ?? all.at(-1)) : (all.filter((power) => power <= to).at(-1) ?? all[0]);
      }
      for (const name of ["w", "a"]) this.sliders[name].set({ value: this[name] });
      for (const input of this.controls.querySelectorAll("input[type=radio]")) {
        input.checked = input.value === this.size || input.value === this.way;
        input.disabled = input.name === "fates-way" && !ways[input.value];
      }
      this.refresh();
    }

    refresh() {
      const [k, n] = this.size.split(","), [copies, average, elsewhere, pairs, lost, won] = this.cells[`${this.w},${this.a}`], runs = copies + average + elsewhere;
      const facts = (name, count) => `${quantity(name, count)} of ${quantity(`${name}: runs`, runs, "span")} runs, ${quantity(`${name}: interval`, TrainingFates.interval(count, runs), "span")}`;
      this.copies.facts.innerHTML = facts("perturbed copies", copies);
      this.average.facts.innerHTML = facts("copy-average", average);
      this.together.textContent = this.apart ? "Choose the scales of W and a apart, or a bar." : "Of these runs W and a have the same scale.";
      const weights = this.w === this.a ? `all initial weights times ${factor(this.w)}` : `initial <i>W</i> times ${factor(this.w)} and <i>a</i> times ${factor(this.a)}`;
      const changed = pairs === undefined || this.way === "gradient flow" ? "" :
        ` Compared with the flow from the same ${quantity("pairs", pairs)} initialisations, perturbed copies lose ${quantity("lost", lost)} and gain ${quantity("won", won)}.`;
      this.say(`<i>k</i> = ${k}, <i>n</i> = ${n}, ${this.way}, ${weights}: ${quantity("found", several(copies, `of ${runs} runs at perturbed copies`))}, ` +
        `${quantity("averaged", several(average, "at copy-average"))}, ${quantity("elsewhere", several(elsewhere, "elsewhere"))}.${changed}`);
      this.draw();
    }

    /** The exact 95% interval in percent. */
    static interval(count, runs) {
      const [low, high] = intervals[`${count}/${runs}`].map((end) => (100 * end).toFixed(1));
      return `${low} to ${high}%`;
    }

    draw() {
      if (!this.width) return;
      const [k, n] = this.size.split(",").map(Number), wide = this.width > 480, width = (wide ? Math.floor((this.width - 20) / 2) : this.width) - 22;
      Glyph.drawCopyAverage(this.average.glyph, width, wide ? 84 : 62, k, n);
      Glyph.drawPerturbedCopies(this.copies.glyph, width, wide ? 84 : 62, k, n);
      this.drawBars(this.width);
    }

    drawBars(width) {
      const left = 40, top = 20, foot = 150, x = scale(-5.5, 2.5, left, width - 4), y = scale(0, 1, foot, top), wide = x(1) - x(0) - 4, drawn = [];
      drawn.push(make("text", { x: left - 32, y: 11 }, this.apart ? `fates, with a times ${factor(this.a)}` : "fates"));
      for (const part of [0, 0.5, 1]) drawn.push(make("line", { x1: left - 4, x2: width - 4, y1: y(part), y2: y(part), class: "live-rule" }), make("text", { x: left - 7, y: y(part) + 4, "text-anchor": "end" }, `${100 * part}%`));
      for (let power = -5; power <= 2; power++) {
        const cell = this.cells[`${power},${this.apart ? this.a : power}`], from = x(power) - wide / 2;
        drawn.push(make("text", { x: x(power), y: foot + 15, "text-anchor": "middle" }, factor(power)));
        if (!cell) continue;
        const [copies, average, elsewhere] = cell, runs = copies + average + elsewhere;
        let below = 0;
        for (const [look, count] of [["copy", copies], ["average", average], ["other", elsewhere]]) {
          if (count) drawn.push(make("rect", { x: from, width: wide, y: y((below + count) / runs), height: y(below / runs) - y((below + count) / runs), class: `live-${look}-neuron`, "data-run": `${power} ${look} ${count}` }));
          below += count;
        }
        const [low, high] = intervals[`${copies}/${runs}`].map(y), middle = x(power);
        drawn.push(make("path", { d: `M${middle - 4},${low}h8m-4,0V${high}m-4,0h8`, class: "live-axis live-interval" }));
      }
      drawn.push(title((left + width) / 2, foot + 31, this.apart ? "scale of the initial W" : "scale of the initial W and a"));
      drawn.push(make("rect", { x: x(this.w) - wide / 2 - 2, width: wide + 4, y: top - 3, height: foot - top + 22, class: "live-here" }));
      this.toPower = (pixel) => Math.max(-5, Math.min(2, Math.round(x.back(pixel))));
      this.bars.setAttribute("aria-label", "A bar for each scale of the initial weights, divided as the runs ended");
      fill(this.bars, width, foot + 36, drawn);
    }
  }

  customElements.define("training-fates", TrainingFates);
})();
