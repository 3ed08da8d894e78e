"use strict";

/* Figure 1 of the paper, live: the flow of watch-the-flow, opened at three teacher neurons and two student neurons. */
(() => {
  class TwoForThree extends customElements.get("watch-the-flow") {
    static title = "Watch two student neurons share three teacher neurons";
    static caption =
      "Figure 1 of the paper, for erf, while it is computed. Left: the cosines of student neurons (rows) and teacher neurons (columns), with |a| beside each row; the sign of a is moved into w. " +
      "Right: the loss, and the losses of optimal copy-average (orange, dashed) and of perturbed copies (blue). A new seed is a new initialisation.";

    build() {
      super.build();
      this.teachers.set({ value: 3 });
      this.neurons.set({ value: 2 });
      this.restart(1);
    }
  }

  customElements.define("two-for-three", TwoForThree);
})();
