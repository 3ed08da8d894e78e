"""The page of a live figure, and what a reader does there with mouse, keyboard and fingers."""


import built_book
import numpy as np
from guards import ROOT

LIVE = ROOT / "book" / "_static" / "live"
# Another element in its place, which starts as the first one did.
AS_NEW = """figure => {
  const fresh = figure.cloneNode(true);
  fresh.querySelector(".live-panel").remove();
  fresh.querySelector(".live-still").classList.remove("live-still");
  figure.replaceWith(fresh);
}"""
# The quantities of the sentence as a reader sees them, when it has come to rest.
SAID = """async figure => {
  for (const end = Date.now() + 60_000; figure.speaking !== undefined || !figure.sentence.innerHTML; ) {
    if (Date.now() > end) throw new Error("The sentence does not come to rest.");
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  const quantities = [...figure.querySelectorAll("[data-quantity]")];
  return quantities.map(element => [element.dataset.quantity, element.innerText]);
}"""


def page_with(name):
    """The built page that shows the figure."""
    return next(page for page in built_book.pages() if f"<{name}>" in page.read_text("utf-8"))


def as_number(text):
    """The number that a sentence writes as 0.0879 or −3.1·10⁻¹⁶."""
    mantissa, _, power = text.replace("−", "-").partition("·10")
    return float(mantissa) * 10.0 ** int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or 0)


class Figure:
    """A live figure on an open page."""

    def __init__(self, page, name):
        self.page, self.element = page, page.locator(name)
        self.element.scroll_into_view_if_needed()

    def state(self, expression):
        return self.element.evaluate(f"figure => {expression}")

    def wait(self, expression):
        """Until the expression of `figure` is true."""
        self.page.wait_for_function(f"figure => {expression}", arg=self.element.element_handle(), timeout=60_000)

    def said(self):
        """{quantity: its text} in the sentence, when it has come to rest."""
        pairs = self.element.evaluate(SAID)
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    def text(self, name):
        return self.said()[name]

    def number(self, name):
        return as_number(self.text(name))

    def slider(self, name):
        return self.element.locator(f"input[data-slider={name}]")

    def drag(self, name, fraction):
        """Take the slider's thumb by mouse and move it to a fraction of the way; the new value."""
        slider = self.slider(name)
        slider.scroll_into_view_if_needed()
        before = float(slider.input_value())
        box, low, high = slider.bounding_box(), float(slider.get_attribute("min")), float(slider.get_attribute("max"))
        reach = box["width"] - 16  # a thumb is 16 pixels wide
        x, y = box["x"] + 8, box["y"] + box["height"] / 2
        self.page.mouse.move(x + reach * (before - low) / (high - low), y)
        self.page.mouse.down()
        self.page.mouse.move(x + reach * fraction, y, steps=5)
        self.page.mouse.up()
        after = float(slider.input_value())
        assert after != before and abs((after - low) / (high - low) - fraction) < 0.1, (name, before, after)
        return after

    def press(self, name, key):
        """Press a key on the slider; the values before and after."""
        before = float(self.slider(name).input_value())
        self.slider(name).press(key)
        return before, float(self.slider(name).input_value())

    def center(self, selector):
        box = self.element.locator(selector).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def swipe(self, start, end):
        """Drag a finger."""
        client = self.page.context.new_cdp_session(self.page)
        path = np.linspace(start, end, 6).tolist()
        for kind, points in [("touchStart", path[:1]), *(("touchMove", [at]) for at in path[1:]), ("touchEnd", [])]:
            touches = [{"x": x, "y": y} for x, y in points]
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
