"use strict";
const status = document.getElementById("sorted");
const value = (row, column) => row.cells[column].dataset.order;
const compare = (numeric) => (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b, document.documentElement.lang));
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const body = table.tBodies[0];
    const numeric = heading.classList.contains("n");
    const now = heading.getAttribute("aria-sort");
    const direction = now === "none" ? (numeric ? "descending" : "ascending") : now === "ascending" ? "descending" : "ascending";
    const sign = direction === "ascending" ? 1 : -1;
    const order = compare(numeric);
    const rows = [...body.rows].sort((a, b) => {
      const [left, right] = [value(a, heading.cellIndex), value(b, heading.cellIndex)];
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
      return sign * order(left, right);
    });
    for (const other of heading.parentNode.cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", direction);
    body.append(...rows);
    status.textContent = `${button.textContent}: ${direction === "ascending" ? "↑" : "↓"}`;
  });
}
