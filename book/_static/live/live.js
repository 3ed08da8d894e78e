"use strict";

/* What the live figures share: an element that takes the place of the picture inside it, sliders, drawing, numbers in words.
 * Scripts of a page share one global scope, the theme's too: each of ours adds one name at most. */
const Live = (() => {
  function make(tag, attributes = {}, ...children) {
    const svg = "svg g rect line path circle text image polyline tspan".split(" ").includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  /** x with so many digits, as 0.0879 or 3.1·10⁻¹⁶. */
  function number(x, digits = 6) {
    if (x === 0) return "0";
    const exponent = Math.floor(Math.log10(Math.abs(x)));
    if (exponent >= -4 && exponent < 9) return x.toPrecision(Math.max(digits, exponent + 1));
    const [mantissa, power] = x.toExponential(Math.min(digits, 3) - 1).split("e");
    return `${mantissa}·10${[...power.replace("+", "")].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("")}`;
  }

  /** A number of the sentence that readers, and tests, look for. */
  const quantity = (name, text, tag = "b") => `<${tag} data-quantity="${name}">${text}</${tag}>`;

  const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

  class LiveFigure extends HTMLElement {
    connectedCallback() {
      if (this.panel) return;
      this.controls = make("div", { class: "live-controls" });
      this.stage = make("div", { class: "live-stage" });
      this.sentence = make("p", { class: "live-sentence", "aria-live": "polite", "aria-atomic": "true" });
      this.panel = make("div", { class: "live-panel", role: "group", "aria-label": this.constructor.title });
      this.panel.append(this.controls, this.stage, this.sentence);
      const still = this.querySelector("img");
      if (still) (still.closest("a") ?? still).classList.add("live-still"); // stays for print
      (this.querySelector("figure") ?? this).prepend(this.panel);
      this.describe(this.constructor.caption);
      this.build();
      new ResizeObserver(() => this.fit()).observe(this.stage);
      this.fit();
    }

    /** The caption of the live figure beside that of the picture, which stays for print. */
    describe(caption) {
      const place = this.querySelector("figcaption .caption-text");
      if (!caption || !place || place.querySelector(".live-caption")) return;
      place.append(make("span", { class: "live-still" }, ...place.childNodes), make("span", { class: "live-caption" }, caption));
    }

    /** Draw again when the width has changed: text keeps its size on a phone. */
    fit() {
      const width = Math.max(270, Math.floor(this.stage.clientWidth));
      if (width === this.width) return;
      this.width = width;
      this.layout();
    }

    /** Put `html` on the page and have it read aloud; several times a second would be too often. */
    say(html) {
      this.wanted = html;
      this.speaking ??= setTimeout(() => {
        this.speaking = undefined;
        this.sentence.innerHTML = this.wanted;
      }, this.sentence.innerHTML ? 150 : 0);
    }

    /** A labelled range input; `show(value)` is what stands beside it and what a screen reader says. */
    slider(label, { min = 0, max = 1, step = 1, value = 0, show = String, name }, changed) {
      const output = make("span", { class: "live-value", "aria-hidden": "true" });
      const input = make("input", { type: "range", min, max, step, value, "data-slider": name, input: () => (update(), changed(+input.value)) });
      const update = () => {
        output.innerHTML = show(+input.value);
        input.setAttribute("aria-valuetext", output.textContent);
      };
      const words = make("span");
      words.innerHTML = label;
      this.controls.append(make("label", { class: "live-slider" }, words, input, output));
      input.set = (fields) => {
        Object.assign(input, fields); // min, max and step before the value
        update();
      };
      update();
      return input;
    }

    button(label, pressed) {
      const button = make("button", { type: "button", click: pressed }, label);
      this.buttons ??= this.controls.appendChild(make("div", { class: "live-buttons" }));
      this.buttons.append(button);
      return button;
    }

    /** A drawing in the stage; what it shows of the reader's choice is in the sentence. */
    drawing(description) {
      const svg = make("svg", { role: "img", "aria-label": description });
      this.stage.append(svg);
      return svg;
    }
  }

  /** Draw `children` on `svg`, a pixel for each unit. */
  function fill(svg, width, height, children) {
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) svg.setAttribute(name, value);
    svg.replaceChildren(...children);
  }

  /** A tick of the x axis with its number, or of the y axis. */
  const below = (x, y, ...label) => [make("line", { x1: x, x2: x, y1: y, y2: y + 4 }), make("text", { x, y: y + 17, "text-anchor": "middle" }, ...label)];
  const beside = (x, y, label) => [make("line", { x1: x - 4, x2: x, y1: y, y2: y }), make("text", { x: x - 7, y: y + 4, "text-anchor": "end" }, label)];

  /** The title of an axis: horizontal, or upwards. */
  const title = (x, y, label) => make("text", { x, y, "text-anchor": "middle" }, label);
  const upwards = (x, y, label) => make("text", { transform: `translate(${x} ${y}) rotate(-90)`, "text-anchor": "middle" }, label);

  /** 10 to a power, as the children of a text. */
  const power10 = (power) => (power === 0 ? ["1"] : power === 1 ? ["10"] : power === -1 ? ["0.1"] : ["10", make("tspan", { dy: -5, "font-size": 8 }, String(power).replace("-", "−"))]);

  /** The map from values between `from` and `to` to pixels; `back` is its inverse. */
  function scale(from, to, start, end, log = false) {
    const f = log ? Math.log : (x) => x, g = log ? Math.exp : (x) => x;
    const map = (x) => start + ((f(x) - f(from)) / (f(to) - f(from))) * (end - start);
    map.back = (pixel) => g(f(from) + ((pixel - start) / (end - start)) * (f(to) - f(from)));
    return map;
  }

  /** A round number of ticks for an axis from 0 to `top`. */
  function ticks(top, about = 5) {
    const raw = top / about, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((c) => c * power).find((c) => c >= raw);
    return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => +(i * step).toPrecision(6));
  }

  /** Where a pointer is, in the coordinates of the drawing. */
  function place(svg, event) {
    const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
    return [((event.clientX - box.left) / box.width) * view.width, ((event.clientY - box.top) / box.height) * view.height];
  }

  /** Call moved(x, y) for taps and mouse drags on `area`, and for drags of `handle` by finger: the page still scrolls beside it. */
  function draggable(svg, area, handle, moved) {
    const follow = (event) => moved(...place(svg, event));
    for (const element of [area, handle]) {
      element.addEventListener("pointerdown", (event) => {
        if (element === area && event.pointerType !== "mouse") return;
        element.setPointerCapture(event.pointerId);
        event.preventDefault();
        follow(event);
      });
      element.addEventListener("pointermove", (event) => element.hasPointerCapture(event.pointerId) && follow(event));
    }
    handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false }); // touch-action is not heeded inside SVG
    area.addEventListener("click", follow);
  }

  return { make, number, quantity, plural, LiveFigure, scale, ticks, place, draggable, fill, below, beside, title, upwards, power10 };
})();
