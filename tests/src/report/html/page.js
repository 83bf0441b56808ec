"use strict";
const find = (id) => document.getElementById(id);
const dialog = find("detail");
// The legend and the text below the timeline that is open.
const key = find("key");
const words = find("words");
key.remove();
words.remove();
const cells = [...document.querySelectorAll(".cell")];
// The address names the open cell, so that it can be shared and that "back" closes the cell.
const linked = () => {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
};
let opened = null;

function show() {
  const link = linked();
  const cell = link && cells.find((cell) => cell.dataset.link === link);
  if (!cell) {
    dialog.close();
    return;
  }
  const template = find(cell.dataset.cell);
  const content = find("detail-content");
  content.replaceChildren(template.content.cloneNode(true));
  content.querySelector("h2").id = "detail-title";
  const scenario = content.querySelector(".scenario");
  scenario.append(find(template.dataset.scenario).content.cloneNode(true));
  const steps = scenario.querySelectorAll(".steps > li");
  for (const finding of content.querySelectorAll(".findings .failed[data-step]")) {
    steps[finding.dataset.step - 1]?.classList.add("failed");
  }
  const happened = content.querySelector(".happened");
  if (happened) {
    happened.append(key, words);
    tell(happened.querySelector(".lanes"), words.querySelector("dl"));
  }
  opened = cell;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

for (const cell of cells) {
  cell.addEventListener("click", () => {
    location.hash = encodeURIComponent(cell.dataset.link).replaceAll("%2F", "/");
    // If the address already names the cell, there is no other event.
    show();
  });
}
addEventListener("hashchange", show);
dialog.addEventListener("close", () => {
  if (linked()) history.replaceState(null, "", "#");
  opened?.focus();
});
// A click beside the panel.
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

function filter() {
  const failed = find("only-failed").checked;
  const wanted = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  let all = 0;
  for (const group of document.querySelectorAll(".matrix tbody")) {
    let some = false;
    for (const row of group.querySelectorAll("tr[data-id]")) {
      const text = `${row.dataset.id} ${row.firstElementChild.textContent}`.toLowerCase();
      row.hidden = (failed && !("failed" in row.dataset)) || !wanted.every((word) => text.includes(word));
      all += 1;
      if (!row.hidden) {
        some = true;
        shown += 1;
      }
    }
    group.hidden = !some;
  }
  find("count").textContent = shown === all ? "" : `${shown} of ${all}`;
}
find("filters").addEventListener("input", filter);
find("filters").addEventListener("submit", (event) => event.preventDefault());
filter();
show();
