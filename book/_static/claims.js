// Buttons above the claims that leave only the rows of one status. Without scripts all rows stand there.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const section = document.getElementById("claims");
  const rows = Array.from(section.querySelectorAll("tbody tr"));
  const word = (row) => row.cells[1].textContent.trim().split(/\W/)[0];
  const choices = {
    "all": () => true,
    "not proven": (row) => word(row) !== "proven",
  };
  for (const status of ["proven", "verified", "observed", "asymptotic"]) choices[status] = (row) => word(row) === status;

  const group = document.createElement("div");
  group.className = "claims-filter";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Show claims by status");
  const buttons = Object.entries(choices).map(([name, chosen]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${name} (${rows.filter(chosen).length})`;
    button.addEventListener("click", () => show(name));
    group.append(button);
    return button;
  });

  function show(name) {
    rows.forEach((row) => (row.hidden = !choices[name](row)));
    for (const part of section.querySelectorAll(":scope > section")) {
      const own = Array.from(part.querySelectorAll("tbody tr"));
      part.hidden = own.length > 0 && own.every((row) => row.hidden);
    }
    Object.keys(choices).forEach((choice, i) => buttons[i].setAttribute("aria-pressed", choice === name));
  }

  section.querySelector(":scope > section").before(group);
  show("all");
});
