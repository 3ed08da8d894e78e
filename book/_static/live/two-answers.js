"use strict";

/* The book's question and its two answers for one n: both students, their losses beside the bound that no student beats, which of them
 * is a minimum, where the stored flows ended, and a gradient flow that runs while the reader looks. */
(() => {
  const { make, number, quantity, LiveFigure, scale, fill, ticks, place } = Live;
  const TEACHERS = [8, 20, 50, 100];
  const LARGEST = 8; // teacher neurons for which a page integrates the flow within seconds
  const ENDS = { "copy-average": "copy-average", "perturbed copies": "perturbed copies", "no end": "no point within 3000 steps" };

  class TwoAnswers extends LiveFigure {
    static title = "Copy or average? Both students for each number n of student neurons";
    static caption =
      "Top: the two students, and one training run. Curves: the loss of each student, in percent above a bound that no student can beat. Bands: where each of them is a minimum. " +
      "Bottom row: where the stored flows ended for each n, at copy-average (orange), at perturbed copies (blue) or elsewhere (grey). The shaded column marks the n that is drawn; click another one.";

    build() {
      this.classList.add("live-tour");
      const choices = TEACHERS.map((k) =>
        make("label", {}, make("input", { type: "radio", name: "teachers", value: k, checked: k === 8, change: () => this.change(+k) }), ` ${k}`));
      this.controls.append(make("fieldset", {}, make("legend", {}, "teacher neurons ", make("i", {}, "k")), ...choices));
      this.neurons = this.slider("student neurons <i>n</i>", { min: 2, max: 7, value: 6, name: "n" }, (n) => this.change(this.k, n));
      const sign = (look, name) => make("span", { class: "live-key" }, make("span", { class: `live-mark live-mark-${look}` }), name);
      this.stage.before(make("p", { class: "live-hint" }, ...[["teacher", "teacher neuron"], ["student", "student neuron"], ["copy", "copies"], ["average", "averages"]].map(([look, name]) => sign(look, name)),
        make("span", { class: "live-key" }, "line: weight (− dashed)")));
      this.average = this.answer("average", "Copy-average");
      this.training = this.answer("training", "Training");
      this.copies = this.answer("copy", "Perturbed copies");
      this.stage.append(this.average.box, this.copies.box, this.training.box);
      this.map = this.drawing("");
      this.map.addEventListener("click", (event) => this.change(this.k, this.toN(place(this.map, event)[0])));
      this.player = make("button", { type: "button", click: () => this.press() });
      this.training.box.prepend(this.player);
      this.seed = 0;
      this.change(8, 6);
    }

    /** A box with a heading, a glyph and what is to be said of it. */
    answer(look, title) {
      const glyph = make("svg", { role: "img" }), subtitle = make("span"), facts = make("p");
      const box = make("div", { class: `live-answer live-answer-${look}` }, make("p", {}, make("strong", {}, title), " ", subtitle), glyph, facts);
      return { box, glyph, subtitle, facts };
    }

    layout() {
      this.draw();
    }

    /** Another k keeps the ratio n / k. */
    change(k, n = Math.round((+this.neurons.value * k) / this.k)) {
      const at = FLOW_ENDS[k], step = at.widths[1] - at.widths[0];
      this.neurons.set({ min: 2, step, max: at.widths.at(-1), value: Math.min(at.widths.at(-1), Math.max(2, step * Math.round(n / step))) });
      Object.assign(this, { k, n: +this.neurons.value, playing: false, end: null, flow: null });
      this.state = TwoAnswers.state(this.k, this.n);
      this.refresh();
    }

    /** Everything that is said of (k, n): losses, bound, minima, counts. */
    static state(k, n) {
      const at = FLOW_ENDS[k], row = at.widths.indexOf(n), m = k - n + 1;
      return {
        bound: (k - n) * Networks.LOST,
        average: { loss: Networks.copyAverageLoss([m]), minimum: n < at.copy_average_unstable, ended: at.average[row] },
        copies: { ...Networks.perturbedCopies(k, n), minimum: n > at.perturbed_stable, ended: at.copies[row] },
        flows: at.flows[row],
      };
    }

    // The flow

    press() {
      if (this.playing) this.playing = false;
      else {
        if (!this.flow || this.end) {
          const { k, n } = this;
          this.seed += 1;
          this.end = null;
          this.start = GradientFlow.glorot(this.seed, n, k);
          this.flow = new GradientFlow(this.start, (theta) => Networks.lossAndGradient(theta, n, k, k));
        }
        this.playing = true;
        requestAnimationFrame(() => this.frame(this.flow));
      }
      this.refresh();
    }

    /** Steps for 12 milliseconds a frame, one at least; without motion, as many as a fifth of a second allows. */
    frame(flow) {
      if (!this.playing || flow !== this.flow || !this.isConnected) return;
      const until = performance.now() + (matchMedia("(prefers-reduced-motion: reduce)").matches ? 200 : 0);
      do {
        flow.step();
        if (flow.converged) this.end = Networks.identify(flow.theta, this.n, this.k, this.k).kind;
        else if (flow.steps >= 3000) this.end = "no end";
      } while (!this.end && performance.now() < until);
      if (this.end) this.playing = false;
      this.end ? this.refresh() : this.drawFlow();
      requestAnimationFrame(() => this.frame(flow));
    }

    // What is seen

    refresh() {
      const { k, n, state } = this, { average, copies, bound, flows } = state, rest = k - n, lower = average.loss < copies.loss ? "copy-average" : "perturbed copies";
      const facts = (name, { loss, minimum }) =>
        `${quantity(`${name}: kind`, minimum ? "a minimum" : "a saddle")}, loss ${quantity(name, number(loss, 4))}${name === lower ? ` (${quantity("lower", "lower", "span")})` : ""}`;
      this.average.subtitle.textContent = `${n - 1} copied, ${rest + 1} averaged`;
      this.copies.subtitle.textContent = `${n} of ${k} copied`;
      this.average.facts.innerHTML = facts("copy-average", average);
      this.copies.facts.innerHTML = facts("perturbed copies", copies);
      const elsewhere = flows - average.ended - copies.ended;
      this.training.facts.innerHTML = `${quantity("ended at copy-average", average.ended)} of ${quantity("flows", flows)} flows ended at copy-average, ` +
        `${quantity("ended at perturbed copies", copies.ended)} at perturbed copies${elsewhere ? `, ${quantity("ended elsewhere", elsewhere)} elsewhere` : ""}`;
      const verdict = average.minimum && copies.minimum ? `Both are minima, and ${lower} ${lower === "copy-average" ? "has" : "have"} the lower loss.` :
        `Only ${average.minimum ? "copy-average is a minimum" : "perturbed copies are a minimum"}; the other is a saddle.`;
      const running = !this.flow ? "" : this.playing ? ` Flow ${this.seed} is running.` : this.end ? ` ${this.found()}` : ` Flow ${this.seed} is paused.`;
      this.say(`${quantity("verdict", verdict)} No student has a loss below the bound ${quantity("bound", number(bound, 4))}.${running}`);
      this.player.textContent = this.playing ? "Pause" : this.end ? "Watch another flow" : this.flow ? "Go on" : "Watch one flow";
      this.player.hidden = k > LARGEST;
      for (const [answer, kind] of [[this.average, "copy-average"], [this.copies, "perturbed copies"]]) answer.box.toggleAttribute("data-found", this.end === kind);
      this.draw();
    }

    found() {
      const name = ENDS[this.end] ?? "another critical point";
      return `Flow ${this.seed} ended at ${quantity("end", name)}, <i>L</i> = ${quantity("loss", number(this.flow.loss, 4))}.`;
    }

    draw() {
      if (!this.width) return;
      const { k, n } = this, wide = this.width > 640, width = Math.floor(wide ? (this.width - 24) / 3 : this.width) - 22, height = wide ? 84 : 62;
      this.stage.classList.toggle("live-three", wide);
      Glyph.drawCopyAverage(this.average.glyph, width, height, k, n);
      Glyph.drawPerturbedCopies(this.copies.glyph, width, height, k, n);
      this.size = [width, height];
      this.drawFlow();
      this.drawMap(this.width);
    }

    /** The student that is trained, or would be: random weights. */
    drawFlow() {
      const { k, n, flow, training } = this, { glyph } = training;
      if (k > LARGEST) {
        training.subtitle.textContent = `to watch one, choose k = ${LARGEST}`;
        glyph.setAttribute("aria-label", "No flow is drawn");
        return fill(glyph, this.size[0], this.size[1], [
          make("text", { x: this.size[0] / 2, y: this.size[1] / 2 - 4, "text-anchor": "middle" }, `For ${k} teacher neurons a flow takes`),
          make("text", { x: this.size[0] / 2, y: this.size[1] / 2 + 12, "text-anchor": "middle" }, `too long in a page: choose k = ${LARGEST}.`)]);
      }
      const theta = flow ? flow.theta : GradientFlow.glorot(this.seed + 1, n, k);
      const roles = { "copy-average": this.end && this.averagers(theta), "perturbed copies": Array(n).fill("copy") }[this.end];
      Glyph.draw(glyph, this.size[0], this.size[1], theta, n, k, roles);
      glyph.setAttribute("aria-label", flow ? `The student of flow ${this.seed}` : "A student with random weights");
      training.subtitle.textContent = flow ? `flow ${this.seed}: t = ${number(flow.time, 3)}, L = ${number(flow.loss, 4)}` : "from random weights";
      training.box.toggleAttribute("data-started", !!flow);
    }

    /** Roles in a copy-average that was found: the neuron with the largest outgoing weight averages. */
    averagers(theta) {
      const { k, n } = this, strength = Array.from({ length: n }, (_, i) => Math.abs(theta[n * k + i]));
      return strength.map((a) => (a === Math.max(...strength) ? "average" : "copy"));
    }

    /** For all n at once: losses above the bound, where each is a minimum, where the flows ended. */
    drawMap(width) {
      const { k, n } = this, at = FLOW_ENDS[k], step = at.widths[1] - at.widths[0], right = width - 8, left = 36;
      const curves = TwoAnswers.curves(k), highest = 1.6 * Math.max(...curves.copy), drawn = [];
      const x = scale(at.widths[0] - step / 2, at.widths.at(-1) + step / 2, left, right), y = scale(0, highest, 74, 6), inside = (value) => Math.min(right, Math.max(left, x(value)));
      const top = 129, tall = 24, here = { x: x(n - step / 2), width: x(step) - x(0) };
      drawn.push(make("rect", { ...here, y: 2, height: top - 2, class: "live-here-above" })); // a frame here would cross words
      for (const percent of ticks(highest, 3)) drawn.push(make("text", { x: left - 5, y: y(percent) + 4, "text-anchor": "end" }, `${percent}%`), make("line", { x1: left, x2: right, y1: y(percent), y2: y(percent), class: percent ? "live-rule" : "" }));
      drawn.push(make("text", { x: left + 4, y: 12 }, "loss above the bound"));
      for (const look of ["average", "copy"]) {
        const points = at.widths.map((each, i) => [x(each), y(curves[look][i])]), out = points.findIndex(([, py]) => py < 2);
        if (out > 0) { // the curve leaves the drawing at its upper edge
          const [[x0, y0], [x1, y1]] = points.slice(out - 1, out + 1);
          points.splice(out, Infinity, [x0 + ((x1 - x0) * (y0 - 2)) / (y0 - y1), 2]);
        }
        drawn.push(make("polyline", { points: points.map((point) => point.map((value) => value.toFixed(1)).join()).join(" "), class: `live-curve live-${look}-curve` }));
        if (look === "average") {
          const high = points.findIndex(([, py]) => py < 18), [[x0, y0], [x1, y1]] = points.slice(high - 1, high + 1);
          const free = x0 + ((x1 - x0) * (y0 - 18)) / (y0 - y1) - 5, fits = free > left + 200; // left of the curve, beside what stands there
          drawn.push(make("text", { x: fits ? free : points.at(-1)[0] + 5, y: 14, "text-anchor": fits ? "end" : "start" }, "copy-average"));
        }
      }
      const middle = at.widths.findIndex((each) => each >= k / 2);
      drawn.push(make("text", { x: x(at.widths[middle]), y: y(curves.copy[middle]) - 6, "text-anchor": "middle" }, "perturbed copies"));
      const bar = (look, from, to, top, name, anchor) => drawn.push(
        make("rect", { x: inside(from), y: top, width: inside(to) - inside(from), height: 15, class: `live-${look}-bar` }),
        make("text", { x: anchor === "start" ? left + 4 : right - 4, y: top + 11.5, "text-anchor": anchor }, name));
      bar("average", -1, at.copy_average_unstable, 80, "copy-average is a minimum", "start");
      bar("copy", at.perturbed_stable, k + 1, 97, "perturbed copies are a minimum", "end");
      drawn.push(make("text", { x: left, y: 125 }, `where ${at.flows[0]} flows ended, for each n`));
      at.widths.forEach((each, i) => {
        const from = x(each - step / 2) + 0.5, wide = x(step) - x(0) - 1;
        let y0 = top + tall;
        for (const [look, count] of [["average", at.average[i]], ["copy", at.copies[i]], ["other", at.flows[i] - at.average[i] - at.copies[i]]]) {
          const height = (tall * count) / at.flows[i];
          y0 -= height;
          if (count) drawn.push(make("rect", { x: from, y: y0, width: wide, height, class: `live-${look}-neuron` }));
        }
      });
      for (const each of k === 8 ? at.widths : ticks(at.widths.at(-1)).filter((tick) => tick >= 2)) drawn.push(make("text", { x: x(each), y: top + tall + 14, "text-anchor": "middle" }, String(each)));
      drawn.push(make("text", { x: left - 5, y: top + tall + 14, "text-anchor": "end" }, "n"));
      drawn.push(make("rect", { ...here, y: top, height: tall, class: "live-here" }));
      this.map.setAttribute("aria-label", "For each n: the losses of both students above the bound, which of them is a minimum, and where the stored flows ended");
      this.toN = (pixel) => x.back(pixel);
      fill(this.map, width, top + tall + 18, drawn);
    }

    /** Percent by which both losses exceed the bound, at all n of a table. */
    static curves(k) {
      const kept = (this.kept ??= {});
      return (kept[k] ??= Object.fromEntries(["average", "copy"].map((look) => [look, FLOW_ENDS[k].widths.map((n) => {
        const { bound, average, copies } = TwoAnswers.state(k, n);
        return 100 * ((look === "copy" ? copies : average).loss / bound - 1);
      })])));
    }
  }

  customElements.define("two-answers", TwoAnswers);
})();
