"use strict";

/* A partition of the teacher neurons among the student neurons, built by hand; its loss, its rank among all partitions, its gradient. */
(() => {
  const { make, number, quantity, plural, LiveFigure, scale, fill } = Live;

  class CopyOrAverage extends LiveFigure {
    static title = "Divide the teacher neurons among the student neurons";

    build() {
      this.neurons = this.slider("student neurons <i>n</i>", { min: 1, max: 8, value: 3, name: "n" }, () => this.restart());
      this.teachers = this.slider("teacher neurons <i>k</i>", { min: 2, max: 12, value: 8, name: "k" }, (k) => this.restart(k));
      this.controls.prepend(this.teachers.parentElement);
      this.factor = this.slider("all <i>a</i> times", { min: 0.8, max: 1.2, step: 0.01, value: 1, name: "factor", show: (x) => x.toFixed(2) }, () => this.refresh());
      this.boxes = make("div", { class: "live-boxes" });
      this.stage.append(this.boxes);
      this.chart = this.drawing("");
      this.stage.before(make("p", { class: "live-hint" }, "Drag a teacher neuron to another group, tap it to send it to the next one, or focus it and press ← or →."));
      this.restart();
    }

    layout() {
      this.refresh();
    }

    /** Groups as equal as possible: the worst partition, for the reader to improve. */
    restart(k = +this.teachers.value) {
      this.neurons.set({ max: Math.min(8, k), value: Math.min(+this.neurons.value, k) });
      const n = +this.neurons.value;
      this.owners = Array.from({ length: k }, (_, j) => Math.floor((j * n) / k));
      this.ranking = Networks.partitions(k, n).map((sizes) => ({ sizes, loss: Networks.copyAverageLoss(sizes) })).sort((one, other) => one.loss - other.loss);
      this.factor.set({ value: 1 });
      this.chips = this.owners.map((_, j) => this.chip(j));
      this.boxes.replaceChildren(...Array.from({ length: n }, () => make("div", { class: "live-box" }, make("div", { class: "live-chips" }), make("div", { class: "live-name" }, make("strong"), make("div")))));
      this.refresh();
    }

    chip(j) {
      const chip = make("button", { type: "button", class: "live-chip" }, String(j + 1));
      const n = +this.neurons.value;
      let start = null, dragged = false;
      chip.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: n - 1, ArrowRight: 1 }[event.key];
        if (!by) return;
        event.preventDefault();
        this.give(j, (this.owners[j] + by) % n);
      });
      chip.addEventListener("click", () => dragged || this.give(j, (this.owners[j] + 1) % n));
      chip.addEventListener("pointerdown", (event) => {
        [start, dragged] = [[event.clientX, event.clientY], false];
        chip.setPointerCapture(event.pointerId);
      });
      chip.addEventListener("pointermove", (event) => {
        if (!start) return;
        const by = [event.clientX - start[0], event.clientY - start[1]];
        dragged ||= Math.hypot(...by) > 6;
        if (dragged) chip.style.transform = `translate(${by[0]}px, ${by[1]}px)`;
      });
      for (const end of ["pointerup", "pointercancel"])
        chip.addEventListener(end, (event) => {
          start = null;
          chip.style.transform = "";
          const under = (box) => {
            const { left, right, top, bottom } = box.getBoundingClientRect();
            return left <= event.clientX && event.clientX <= right && top <= event.clientY && event.clientY <= bottom;
          };
          const target = [...this.boxes.children].findIndex(under);
          if (end === "pointerup" && dragged && target >= 0) this.give(j, target);
        });
      return chip;
    }

    give(j, owner) {
      this.owners[j] = owner;
      this.refresh();
      this.chips[j].focus();
    }

    /** The groups of teacher neurons, and the student for them with all outgoing weights times the factor. */
    get groups() {
      return Array.from(this.boxes.children, (_, i) => this.owners.flatMap((owner, j) => (owner === i ? [j] : [])));
    }

    get theta() {
      const k = this.owners.length, n = this.boxes.children.length;
      return Networks.copyAverage(this.groups, k).map((entry, i) => (i < n * k ? entry : entry * this.factor.value));
    }

    refresh() {
      const k = this.owners.length, groups = this.groups, n = groups.length;
      const { loss, gradient } = Networks.lossAndGradient(this.theta, n, k, k), norm = Math.hypot(...gradient);
      groups.forEach((group, i) => {
        const box = this.boxes.children[i], l = group.length;
        const role = l === 0 ? "idle" : l === 1 ? "copies" : "averages";
        box.dataset.role = role;
        const chips = group.map((j) => this.chips[j]);
        if (chips.some((chip, at) => box.firstChild.children[at] !== chip) || box.firstChild.children.length !== l) box.firstChild.replaceChildren(...chips);
        for (const j of group) this.chips[j].setAttribute("aria-label", `teacher neuron ${j + 1}, of student neuron ${i + 1}, which ${l === 1 ? "copies it" : `averages ${l}`}`);
        box.lastChild.firstChild.textContent = `student neuron ${i + 1}`;
        box.lastChild.lastChild.textContent = role === "idle" ? "is idle" : l === 1 ? "copies" : `averages ${l}`;
      });
      const sizes = groups.map((group) => group.length).sort((l, m) => l - m);
      const rank = this.ranking.findIndex((entry) => String(entry.sizes) === String(sizes));
      this.drawRanking(rank);
      const partition = rank < 0 ? "With an idle student neuron this is no partition into <i>n</i> groups." :
        `Sizes ${quantity("sizes", sizes.join(" + "))}: rank ${quantity("rank", rank + 1)} of ${this.ranking.length}${rank === 0 ? ", the best" : ""}.`;
      const slope = norm < 1e-12 ? "zero up to rounding: a critical point" : +this.factor.value === 1 ? "" : "not zero, because the outgoing weights are not those of copy-average";
      this.say(`${partition} Loss <i>L</i> = ${quantity("loss", number(Math.max(0, loss) < 1e-14 ? 0 : loss))}, gradient |∇<i>L</i>| = ${quantity("gradient", number(norm, 2))}, ${slope}.`);
    }

    /** All partitions, best on top, cut into their groups. */
    drawRanking(rank) {
      const k = this.owners.length, row = 18, width = Math.min(560, this.width ?? 270), x = scale(0, k, 62, width - 4);
      const drawn = [make("text", { x: 4, y: 12 }, "loss"), make("text", { x: 63, y: 12 }, "group sizes")];
      this.ranking.forEach(({ sizes, loss }, i) => {
        const y = 20 + i * row, here = i === rank;
        if (here) drawn.push(make("rect", { x: 0.75, y: y - 1.5, width: width - 1.5, height: row, class: "live-here" }));
        drawn.push(make("text", { x: 4, y: y + 11.5, class: here ? "live-strong" : "" }, loss ? loss.toFixed(4) : "0"));
        let from = 0;
        for (const l of sizes) {
          drawn.push(make("rect", { x: x(from) + 1, y, width: x(l) - x(0) - 2, height: row - 4, class: l === 1 ? "live-copy" : "live-average" }));
          drawn.push(make("text", { x: x(from + l / 2), y: y + 11, "text-anchor": "middle" }, String(l)));
          from += l;
        }
      });
      this.chart.setAttribute("aria-label", `All ${plural(this.ranking.length, "partition")}, the best on top`);
      fill(this.chart, width, this.ranking.length * row + 22, drawn);
    }
  }

  customElements.define("copy-or-average", CopyOrAverage);
})();
