// What is folded below a figure or a statement (its proof, its checks, its code) stands in one row of buttons, and
// opens below the row. Without scripts each fold is a bar of its own.
"use strict";
(() => {
  const CHECK = /\bchecked\b/, FIGURE = /^How this figure is drawn/, PROOF = /^Proof\b/;
  const CLOSED = "onbeforematch" in document.documentElement ? "until-found" : "";  // may the browser's search open it?
  const RANK = { proof: 0, check: 1, code: 2 };

  // What an element gives to a row: {kind, name, title, parts}, or nothing if it is no fold. The picture of a figure,
  // and what code prints that is no check, stay where they are: then `shows` is true.
  function fold(element) {
    if (element.matches(".admonition.dropdown:not(.solution)")) {
      const title = element.querySelector(":scope > .admonition-title"), text = title.textContent.trim();
      return { element, kind: "proof", name: PROOF.test(text) ? ["Proof"] : copies(title), parts: [element] };
    }
    const details = element.matches(".cell") && element.querySelector(":scope > details.hide");
    if (!details) return null;
    const title = details.querySelector(".collapsed").textContent.trim(), check = CHECK.test(title);
    const output = element.querySelector(":scope > .cell_output");
    return {
      element, title, details, kind: check ? "check" : "code", shows: !check && output !== null,
      name: [check ? "Check" : FIGURE.test(title) ? "Code of the figure" : title],
      parts: check || output === null ? [element] : [details.querySelector(".cell_input")],
    };
  }

  function copies(title) {
    return [...title.childNodes].map((node) => node.cloneNode(true));
  }

  // Neighbours belong to one row; code that prepares a later figure stands with that figure.
  function rows(folds) {
    const groups = [[]];
    folds.forEach((one, i) => {
      const rest = folds.slice(i), next = rest.find((other) => other.kind !== "code" || other.shows);
      const group = groups.at(-1);
      const full = group.some((other) => other.shows || other.kind !== "code");
      if (one.kind === "code" && full && next?.shows && next.kind === "code") groups.push([one]);
      else group.push(one);
    });
    return groups;
  }

  let number = 0;
  function drawer(folds) {
    const box = document.createElement("div"), row = document.createElement("div");
    box.className = "folds";
    row.className = "folds-row";
    box.append(row);
    folds.at(-1).element.after(box);
    const sorted = [...folds].sort((one, other) => RANK[one.kind] - RANK[other.kind]);
    for (const one of sorted) {
      const alike = sorted.filter((other) => typeof one.name[0] === "string" && other.name[0] === one.name[0]);
      const button = document.createElement("button"), panel = document.createElement("div");
      button.type = "button";
      button.append(...one.name, alike.length > 1 ? ` ${alike.indexOf(one) + 1}` : "");
      panel.id = `fold-${++number}`;
      panel.className = `folds-panel folds-${one.kind}`;
      button.setAttribute("aria-controls", panel.id);
      button.addEventListener("click", () => open(panel, panel.hidden !== false));
      panel.addEventListener("beforematch", () => open(panel, true));
      panel.button = button;
      if (one.title) panel.append(Object.assign(document.createElement("p"), { className: "folds-title", textContent: one.title }));
      if (one.kind === "proof") {  // the panel is its box, and the row has its button
        one.element.className = "folds-text";
        one.element.querySelector(":scope > .admonition-title").className = "folds-title";
      }
      panel.append(...one.parts);
      if (one.details) one.details.replaceWith(...[...one.details.children].filter((child) => child.tagName !== "SUMMARY"));
      row.append(button);
      box.append(panel);
      open(panel, false);
    }
    return box;
  }

  function open(panel, wanted) {
    panel.hidden = wanted ? false : CLOSED || true;
    panel.button.setAttribute("aria-expanded", wanted);
  }

  // A link to something inside a panel opens it; a link to a check opens the check behind the figure or the cell.
  function follow() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const own = target.closest(".folds-panel");
    if (own) open(own, true);
    if (target.id.startsWith("check-") && !own?.matches(".folds-check")) {
      let box = own?.parentElement ?? target;
      while (box && !box.matches(".folds")) box = box.nextElementSibling;
      const check = box?.querySelector(":scope > .folds-check");
      if (check) open(check, true);
    }
    if (own) requestAnimationFrame(() => target.scrollIntoView());
  }

  const article = document.querySelector("article.bd-article");
  let run = [];
  const boxes = [];
  function finish() {
    if (run.length) boxes.push(...rows(run).map(drawer));
    run = [];
  }
  for (const section of article ? article.querySelectorAll("section") : []) {
    if (section.closest(".admonition")) continue;
    for (const element of [...section.children]) {
      const found = fold(element);
      if (found) run.push(found);
      else if (!element.matches("span:empty, .tag_remove-cell")) finish();
    }
    finish();
  }
  const inside = () => [...document.querySelectorAll(".folds-proof, .folds-check")];
  if (inside().length > 2) {
    const all = document.createElement("button");
    all.type = "button";
    all.className = "folds-all";
    const say = (opened) => {
      all.setAttribute("aria-pressed", opened);
      all.textContent = `${opened ? "Close" : "Open"} all proofs and checks`;
    };
    all.addEventListener("click", () => {
      const wanted = all.getAttribute("aria-pressed") === "false";
      inside().forEach((panel) => open(panel, wanted));
      say(wanted);
    });
    say(false);
    boxes[0].querySelector(".folds-row").append(all);
  }
  addEventListener("hashchange", follow);
  addEventListener("DOMContentLoaded", follow);
})();
