// Give each cell the heading of its column, which the phone layout shows (see site.css).
for (const table of document.querySelectorAll(".md-typeset table:not([class])")) {
  const labels = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.children].forEach((cell, column) => {
      if (labels[column]) cell.dataset.label = labels[column];
    });
  }
}
