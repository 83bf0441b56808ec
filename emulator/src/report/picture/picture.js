// The timeline as text, for people who cannot see it or use a pointer.
function tell(lanes, list) {
  list.replaceChildren();
  for (const lane of lanes.querySelectorAll("[data-lane]")) {
    const titles = [...lane.querySelectorAll("title")];
    if (titles.length === 0) continue;
    const add = (kind, text) => {
      const line = document.createElement(kind);
      line.textContent = text;
      list.append(line);
    };
    add("dt", lane.dataset.lane);
    for (const title of titles) add("dd", title.textContent);
  }
}
