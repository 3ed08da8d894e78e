"use strict";

/* The text of a live figure with the least contrast to what is drawn below its middle: {ratio, text, colour, below}. */
const leastContrast = figure => {
  const parse = (colour) => {
    const numbers = (colour.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    return colour.startsWith("color(srgb") ? numbers.map((value, i) => (i < 3 ? 255 * value : value)) : numbers;
  };
  const over = ([r, g, b, alpha = 1], below) => [r, g, b].map((c, i) => alpha * c + (1 - alpha) * below[i]);
  const light = (colour) => colour.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const worst = { ratio: 21 };
  for (const text of figure.querySelectorAll("svg text, .live-sentence, .live-hint, .live-slider span, button, legend, .live-name")) {
    const drawn = text.closest("svg"), box = text.getBoundingClientRect(), [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    let below = parse(getComputedStyle(document.body).backgroundColor);
    below = below[3] === 0 ? [255, 255, 255] : below.slice(0, 3);
    const under = [...figure.querySelectorAll(drawn ? "svg rect, svg path" : "button")].filter((e) => {
      const b = e.getBoundingClientRect();
      if (!(b.left <= x && x <= b.right && b.top <= y && y <= b.bottom)) return false;
      if (!e.isPointInFill) return true;
      return e.isPointInFill(new DOMPoint(x, y).matrixTransform(e.getScreenCTM().inverse()));
    });
    for (const e of under) {
      const style = getComputedStyle(e), fill = drawn ? style.fill : style.backgroundColor;
      if (fill === "none") continue;
      const [r, g, b, alpha = 1] = parse(fill);
      below = over([r, g, b, alpha * (drawn ? style.fillOpacity : 1)], below);
    }
    const style = getComputedStyle(text), colour = over(parse(drawn ? style.fill : style.color), below);
    const [one, other] = [light(colour), light(below)].sort((a, b) => b - a), ratio = (one + 0.05) / (other + 0.05);
    if (ratio < worst.ratio) Object.assign(worst, { ratio, text: text.textContent, colour, below });
  }
  return worst;
};
