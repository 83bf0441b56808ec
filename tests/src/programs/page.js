"use strict";
const search = document.getElementById("search");
function filter() {
  const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of document.querySelectorAll("[data-words]")) {
    const text = `${card.dataset.words} ${card.textContent}`.toLowerCase();
    card.hidden = !wanted.every((word) => text.includes(word));
  }
}
search.addEventListener("input", filter);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
filter();
