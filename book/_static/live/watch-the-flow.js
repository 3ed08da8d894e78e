"use strict";

/* A gradient flow, integrated while the reader looks: cosines of student and teacher neurons, and the loss against time. */
(() => {
  const { make, number, quantity, plural, LiveFigure, scale, fill, below, beside, title, upwards, power10 } = Live;

  class WatchTheFlow extends LiveFigure {
    static title = "Watch a gradient flow to its end";
    static caption =
      "One gradient flow while it is computed. Left: cosines of student neurons (rows) and teacher neurons (columns), positive ones in green, negative ones in violet, with |a| beside each row; the sign of a is moved into w. " +
      "Right: the loss, and the losses of copy-average (orange, dashed) and of perturbed copies (blue). A student neuron that is held back starts with a ten-thousandth of its weights.";

    build() {
      this.teachers = this.slider("teacher neurons <i>k</i>", { min: 2, max: 8, value: 8, name: "k" }, () => this.restart());
      this.neurons = this.slider("student neurons <i>n</i>", { min: 1, max: 8, value: 6, name: "n" }, () => this.restart());
      this.playing = false;
      this.player = this.button("Play", () => this.play(!this.playing));
      this.button("To the end", () => this.finish());
      this.button("New seed", () => this.restart(this.seed + 1));
      this.late = this.button("Hold one back", () => {
        this.late.setAttribute("aria-pressed", !this.held);
        this.restart();
      });
      this.late.setAttribute("aria-pressed", "false");
      this.enlarge = this.button("Enlarge the end", () => {
        this.enlarge.setAttribute("aria-pressed", this.enlarge.getAttribute("aria-pressed") !== "true");
        this.draw();
      });
      this.enlarge.setAttribute("aria-pressed", "false");
      this.cosines = this.drawing("Cosines of student neurons, rows, and teacher neurons, columns; |a| beside each row");
      this.curve = this.drawing("Loss against time, with the losses of copy-average and perturbed copies");
      this.restart(5);
    }

    get held() {
      return this.late.getAttribute("aria-pressed") === "true";
    }

    layout() {
      this.draw();
    }

    restart(seed = this.seed) {
      const k = +this.teachers.value;
      this.neurons.set({ max: k, value: Math.min(+this.neurons.value, k) });
      const n = +this.neurons.value;
      Object.assign(this, { k, n, seed, end: null, start: GradientFlow.glorot(seed, n, k) });
      if (this.held) this.start = this.start.map((weight, i) => (i < k || i === n * k ? 1e-4 * weight : weight)); // its first neuron
      this.lines = [{ name: "copy-average", colour: "average", loss: Networks.copyAverageLoss([...Array(n - 1).fill(1), k - n + 1]) }];
      const copies = n > 1 && n < k ? Networks.perturbedCopies(k, n) : null;
      if (copies) this.lines.push({ name: "perturbed copies", colour: "copy", loss: copies.loss });
      this.flow = new GradientFlow(this.start, (theta) => Networks.lossAndGradient(theta, n, k, k));
      this.path = [[0, this.flow.loss]];
      this.play(false);
    }

    play(on) {
      if (on && this.end) this.restart(this.seed);
      this.playing = on;
      this.player.textContent = on ? "Pause" : this.end ? "Play again" : "Play";
      this.refresh();
      if (on) requestAnimationFrame(() => this.frame());
    }

    frame() {
      if (!this.playing || !this.isConnected) return;
      this.advance(matchMedia("(prefers-reduced-motion: reduce)").matches ? 40 : 1);
      if (this.end) return this.play(false);
      this.draw();
      requestAnimationFrame(() => this.frame());
    }

    /** The whole rest, in slices, so that the page stays awake. */
    finish() {
      this.playing = false;
      const { flow } = this;
      const slice = () => {
        if (flow !== this.flow || this.playing) return;
        this.advance(20);
        if (this.end) return this.play(false);
        this.draw();
        setTimeout(slice);
      };
      slice();
    }

    advance(steps) {
      for (; steps > 0 && !this.end; steps--) {
        this.flow.step();
        this.path.push([this.flow.time, this.flow.loss]);
        if (this.flow.converged) this.end = Networks.identify(this.flow.theta, this.n, this.k, this.k);
        else if (this.flow.steps >= 3000) this.end = { kind: "no end", sizes: [] };
      }
    }

    refresh() {
      this.draw();
      const { flow, n, k, end, seed } = this, clock = `At time <i>t</i> = ${quantity("time", number(flow.time, 3))} the loss is <i>L</i> = ${quantity("loss", shown(flow.loss))}`;
      if (end) this.say(`Seed ${seed} leads to ${this.named(end)}. ${clock}, |∇<i>L</i>| = ${number(flow.gradientNorm, 2)}.`);
      else if (this.playing) this.say(`Seed ${seed} runs: ${plural(n, "student neuron")}, ${plural(k, "teacher neuron")}.`);
      else this.say(`Seed ${seed}${flow.steps ? ", paused" : ", random weights"}. ${clock}. ` +
        `${this.lines.map((line, i) => `${i ? "that" : "The loss"} of ${line.name} is ${quantity(line.name, shown(line.loss))}`).join("; ")}.`);
    }

    named({ kind, sizes }) {
      const copies = sizes.filter((l) => l === 1).length, averages = sizes.filter((l) => l > 1);
      const parts = [...(copies ? [plural(copies, "copy").replace("copys", "copies")] : []), ...averages.map((l) => `an average of ${l}`)].join(", ");
      if (kind === "copy-average") return averages.length ? `${quantity("end", kind)}, ${parts}` : `${quantity("end", "the teacher itself")}, ${parts}`;
      if (kind === "perturbed copies") return `${quantity("end", kind)}: each student neuron is close to one teacher neuron, and all lean towards the other${this.k - this.n > 1 ? ` ${this.k - this.n}` : ""}`;
      if (kind === "no end") return `${quantity("end", "no limit point")} in sight after ${this.flow.steps} steps; it may run down a channel to infinity`;
      return `${quantity("end", "another critical point")}, neither copy-average nor perturbed copies`;
    }

    draw() {
      if (!this.width) return;
      const width = this.width > 480 ? Math.min(340, (this.width - 20) / 2) : Math.min(400, this.width);
      this.drawCosines(width);
      this.drawCurve(width);
    }

    drawCosines(width) {
      const { n, k } = this, { theta } = this.flow, cell = Math.min(34, (width - 74) / k), left = 32;
      const drawn = [title(left + (k * cell) / 2, 11, "teacher neuron"), upwards(10, 34 + (n * cell) / 2, n > 2 ? "student neuron" : "student"), make("text", { x: left + k * cell + 8, y: 28 }, "|a|")];
      for (let j = 0; j < k; j++) drawn.push(title(left + (j + 0.5) * cell, 28, String(j + 1)));
      for (let i = 0; i < n; i++) {
        const w = theta.subarray(i * k, (i + 1) * k), a = theta[n * k + i], norm = Math.hypot(...w), y = 34 + i * cell;
        drawn.push(make("text", { x: left - 5, y: y + cell / 2 + 4, "text-anchor": "end" }, String(i + 1)));
        drawn.push(make("text", { x: left + k * cell + 8, y: y + cell / 2 + 4 }, Math.abs(a).toFixed(2)));
        for (let j = 0; j < k; j++) {
          const cosine = (Math.sign(a) * w[j]) / norm, strong = cosine > 0.91 || cosine < -0.75; // where white is read better than black
          const box = { x: left + j * cell + 0.5, y: y + 0.5, width: cell - 1, height: cell - 1 };
          const digits = cosine.toFixed(cell < 32 ? 1 : 2).replace("0.", ".").replace(/^-?\.0+$/, "0").replace("-", "−");
          drawn.push(make("rect", { ...box, class: cosine > 0 ? "live-along" : "live-against", "fill-opacity": Math.abs(cosine).toFixed(3) }));
          drawn.push(make("rect", { ...box, class: "live-cell" }));
          drawn.push(make("text", { x: box.x + cell / 2, y: y + cell / 2 + 4, "text-anchor": "middle", class: `live-small${strong ? " live-inverse" : ""}` }, digits));
        }
      }
      fill(this.cosines, width, 38 + n * cell, drawn);
    }

    drawCurve(width, height = 250) {
      const enlarged = this.enlarge.getAttribute("aria-pressed") === "true";
      const losses = this.lines.map((line) => line.loss), low = Math.min(...losses), high = Math.max(...losses);
      const bottom = enlarged ? low - 0.004 : Math.max(0.5 * low, 1e-4), top = enlarged ? high + 0.012 : 1.3 * this.path[0][1];
      const foot = height - 42, x = scale(0.01, 1e5, 50, width - 12, true), y = scale(bottom, top, foot, 10, !enlarged);
      const at = (time, loss) => [x(Math.min(1e5, Math.max(0.01, time))), y(Math.max(loss, bottom))];
      const drawn = [make("path", { d: `M50,10V${foot}H${width - 12}`, class: "live-axis" }), title((width + 38) / 2, height - 6, "time t"), upwards(11, (foot + 10) / 2, "loss L")];
      for (const power of [-1, 1, 3, 5]) drawn.push(...below(x(10 ** power), foot, ...power10(power)));
      const marks = enlarged ? Array.from({ length: 12 }, (_, i) => 0.004 * (Math.ceil(bottom / 0.004) + i)) : [-4, -3, -2, -1, 0, 1].map((power) => 10 ** power);
      for (const mark of marks) if (mark >= bottom && mark <= top) drawn.push(...beside(50, y(mark), enlarged ? mark.toFixed(3) : String(+mark.toPrecision(1))));
      const close = losses.length > 1 && Math.abs(y(low) - y(high)) < 20; // then one name above its line and one below
      for (const line of this.lines) {
        const [, level] = at(1, line.loss);
        drawn.push(make("line", { x1: 50, x2: width - 12, y1: level, y2: level, class: `live-level live-${line.colour}-line` }));
        drawn.push(make("text", { x: 56, y: close && line.loss === low ? level + 13 : level - 5 }, line.name));
      }
      const points = this.path.slice(1).map(([time, loss]) => at(time, loss)).filter(([, py]) => py >= 0);
      drawn.push(make("polyline", { points: points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" "), class: "live-curve" }));
      const [px, py] = at(...this.path.at(-1));
      if (py >= 10) drawn.push(make("circle", { cx: px, cy: py, r: 4, class: "live-dot" }));
      drawn.push(make("text", { x: width - 12, y: 20, "text-anchor": "end" }, `t = ${number(this.flow.time, 3)}`), make("text", { x: width - 12, y: 36, "text-anchor": "end" }, `L = ${shown(this.flow.loss)}`));
      fill(this.curve, width, height, drawn);
    }
  }

  /** A loss; what is left of zero by rounding is called zero. */
  const shown = (loss) => number(Math.abs(loss) < 1e-13 ? 0 : loss);

  customElements.define("watch-the-flow", WatchTheFlow);
})();
