"use strict";

/* The loss of one neuron over its outgoing weight a and its length r, at equal angles; the reader moves the point. */
(() => {
  const { make, number, quantity, LiveFigure, scale, ticks, draggable, fill, below, beside, title, upwards } = Live;

  class OneNeuron extends LiveFigure {
    static title = "The loss of one neuron for k teacher neurons, over its outgoing weight and its length";

    build() {
      this.k = 8; // as in the chapter
      this.activation = "erf";
      this.slider("teacher neurons <i>k</i>", { min: 2, max: 50, value: this.k, name: "k" }, (k) => this.change(k, this.activation));
      this.outgoing = this.slider("outgoing weight <i>a</i>", { name: "a", show: () => number(this.a ?? 0, 4) }, (a) => this.move(a, this.r));
      this.length = this.slider("length <i>r</i> = |<i>w</i>|", { name: "r", show: () => number(this.r ?? 0, 4) }, (r) => this.move(this.a, r));
      const choices = [["erf", "erf"], ["relu", "ReLU"]].map(([value, name]) =>
        make("label", {}, make("input", { type: "radio", name: "activation", value, checked: value === "erf", change: () => this.change(this.k, value) }), ` ${name}`));
      this.controls.append(make("fieldset", {}, make("legend", {}, "activation"), ...choices));
      this.button("Go to the best point", () => this.move(this.best.a, this.best.r));
      this.svg = this.drawing("Map of the loss, dark where it is low; the white point is the neuron, the cross the best one");
      this.canvas = make("canvas", { width: 190, height: 130 });
      Object.assign(this, { a: 14, r: 0.4 });
    }

    layout() {
      this.change(this.k, this.activation);
    }

    /** Another landscape; the point stays as far as it is on the map. */
    change(k, activation) {
      Object.assign(this, { k, activation, best: Networks.oneNeuron(activation, k) });
      this.top = activation === "erf" ? 2.6 / Math.sqrt(2 * k - 1) : 1.2; // the map ends here and at a = 2.5 k
      if (activation === "relu") this.best = { ...this.best, a: k, r: this.best.a / k }; // one of the best: only a r counts
      const width = Math.min(500, this.width), height = 0.42 * width + 90;
      this.x = scale(0, 2.5 * k, 50, width - 68);
      this.y = scale(0, this.top, height - 42, 10);
      this.drawMap(width, height);
      this.move(this.a, this.r);
    }

    move(a, r) {
      this.a = Math.min(2.5 * this.k, Math.max(0, a));
      this.r = Math.min(this.top, Math.max(this.top / 200, r));
      this.outgoing.set({ min: 0, max: 2.5 * this.k, step: this.k / 40, value: this.a });
      this.length.set({ min: this.top / 200, max: this.top, step: this.top / 200, value: this.r });
      this.refresh();
    }

    get loss() {
      return Networks.oneNeuronLoss(this.activation, this.k, this.a, this.r);
    }

    drawMap(width, height) {
      const { k, top, x, y, activation, best, canvas } = this, { levels, colours } = OneNeuron;
      const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
      for (let row = 0; row < canvas.height; row++) {
        const r = top * (1 - (row + 0.5) / canvas.height);
        for (let column = 0; column < canvas.width; column++) {
          const ratio = Networks.oneNeuronLoss(activation, k, (2.5 * k * (column + 0.5)) / canvas.width, r) / best.loss;
          const band = Math.max(0, levels.findLastIndex((level) => ratio >= level));
          image.data.set([...colours[band], 255], 4 * (row * canvas.width + column));
        }
      }
      context.putImageData(image, 0, 0);

      const foot = y(0), band = (foot - 10) / levels.length;
      const axes = [...ticks(2.5 * k).flatMap((a) => below(x(a), foot, String(a))), ...ticks(top, 6).flatMap((r) => beside(50, y(r), String(r)))];
      axes.push(title(x(1.25 * k), height - 6, "outgoing weight a"), upwards(12, y(top / 2), "length r"), upwards(width - 4, y(top / 2), "loss / lowest loss"));
      levels.forEach((level, i) => {
        axes.push(make("rect", { x: width - 58, y: foot - (i + 1) * band, width: 12, height: band, fill: `rgb(${colours[i]})` }));
        axes.push(make("text", { x: width - 42, y: foot - i * band + 4 }, String(level)));
      });
      const area = make("image", { x: x(0), y: 10, width: x(2.5 * k) - x(0), height: foot - 10, preserveAspectRatio: "none", href: canvas.toDataURL() });
      const valley = Array.from({ length: 150 }, (_, i) => ((i + 1) / 150) * top)
        .map((r) => [Networks.bestOutgoing(activation, k, r), r])
        .filter(([a]) => a <= 2.5 * k)
        .map(([a, r]) => `${x(a).toFixed(1)},${y(r).toFixed(1)}`);
      const cross = make("path", { d: `M${x(best.a) - 5},${y(best.r) - 5}l10,10m0,-10l-10,10`, class: "live-cross" });
      this.point = make("g", { class: "live-handle" }, make("circle", { r: 20, fill: "transparent" }), make("circle", { r: 5.5, fill: "white", stroke: "black", "stroke-width": 1.5 }));
      fill(this.svg, width, height, [...axes, area, make("polyline", { points: valley.join(" "), class: "live-valley" }), ...(activation === "erf" ? [cross] : []), this.point]);
      draggable(this.svg, area, this.point, (px, py) => this.move(x.back(px), y.back(py)));
    }

    refresh() {
      this.point.setAttribute("transform", `translate(${this.x(this.a)} ${this.y(this.r)})`);
      const ratio = this.loss / this.best.loss;
      const where = this.activation === "erf"
        ? `The lowest is ${quantity("lowest", number(this.best.loss))}, at <i>a</i> = <i>k</i> = ${this.k} and <i>r</i> = 1/√(2<i>k</i> − 1) = ${number(this.best.r, 4)}.`
        : `The lowest is ${quantity("lowest", number(this.best.loss))}, wherever <i>a r</i> = ${number(this.best.a * this.best.r, 4)}.`;
      const here = ratio < 1 + 1e-9 ? "the lowest loss there is" : `${ratio < 1.01 ? "less than 1.01" : number(ratio, 3)} times the lowest`;
      this.say(`At <i>a</i> = ${quantity("a", number(this.a, 4))}, <i>r</i> = ${quantity("r", number(this.r, 4))} the loss is ` +
        `<i>L</i> = ${quantity("loss", number(this.loss))}, ${here}. ${where}`);
    }

    static levels = [1, 1.1, 1.5, 2, 3, 5, 10, 20, 50, 100];
    // Matplotlib's viridis at equal distances.
    static colours = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37]];
  }

  customElements.define("one-neuron", OneNeuron);
})();
