"use strict";
/* Puts the page together: unpacks, draws, and listens to wheel, pointer, touch and keys.

   The address may carry wishes after '#', joined by '&': zoom=FROM,TO in the axis's unit, theme=dark or light, tasks=0,
   and report=COLUMNS, which adds the shares behind the picture, as JSON, for whoever checks it. */

const state = { plots: [], views: [], theme: null, isQueued: false, found: -1, wanted: "", hits: [] };

function wishes() {
  return new Map(location.hash.slice(1).split("&").filter(Boolean).map((each) => each.split("=", 2)));
}

function drawAll(isEverything = false) {
  for (const plot of state.plots) {
    const box = plot.canvas.getBoundingClientRect();
    const isSeen = box.bottom > -200 && box.top < innerHeight + 200;
    plot.isStale = !isSeen && !isEverything;
    if (!plot.isStale) plot.draw(plot.view, state.theme);
  }
  const view = state.views.find((each) => !each.isWhole), step = view ? (view.t1 - view.t0) / 200 : 0;
  document.getElementById("fit").disabled = !view;
  document.getElementById("shown").textContent = view
    ? `${view.scale.format(view.t0, step, view.t1)} – ${view.scale.format(view.t1, step, view.t1)}` : "";
}

function redraw() {
  if (state.isQueued) return;
  state.isQueued = true;
  requestAnimationFrame(() => {
    state.isQueued = false;
    drawAll();
    for (const plot of state.plots) plot.table?.();
  });
}

function listenToPointer(plot) {
  const { canvas, view } = plot, tip = document.getElementById("tip"), pointers = new Map();
  const share = (clientX) => (clientX - canvas.getBoundingClientRect().left - plot.left) / plot.plotWidth;
  canvas.addEventListener("wheel", (event) => {
    // At the whole view, scrolling on goes to the page.
    if (event.deltaX === 0 && event.deltaY > 0 && view.isWhole && !event.ctrlKey) return;
    event.preventDefault();
    const size = event.deltaMode === 1 ? 24 : event.deltaMode === 2 ? 400 : 1;
    const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) view.pan((sideways * size) / plot.plotWidth);
    else view.zoom(Math.exp(-event.deltaY * size * (event.ctrlKey ? 0.01 : 0.002)), Math.min(1, Math.max(0, share(event.clientX))));
    tip.hidden = true;
    redraw();
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event.clientX);
    canvas.classList.add("is-dragged");
    tip.hidden = true;
  });
  const release = (event) => {
    pointers.delete(event.pointerId);
    if (!pointers.size) canvas.classList.remove("is-dragged");
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("blur", () => { tip.hidden = true; });
  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) {
      const box = canvas.getBoundingClientRect();
      const lines = describe(plot, view, event.clientX - box.left, event.clientY - box.top);
      if (lines) placeTooltip(tip, lines, event.clientX, event.clientY); else tip.hidden = true;
      return;
    }
    const before = [...pointers.values()];
    pointers.set(event.pointerId, event.clientX);
    const after = [...pointers.values()];
    if (after.length === 1) view.pan((before[0] - after[0]) / plot.plotWidth);
    else if (after.length === 2) {
      const spread = Math.max(12, Math.abs(after[0] - after[1])) / Math.max(12, Math.abs(before[0] - before[1]));
      const middle = (before[0] + before[1]) / 2, moved = (after[0] + after[1]) / 2 - middle;
      view.zoom(spread, Math.min(1, Math.max(0, share(middle))));
      view.pan(-moved / plot.plotWidth);
    }
    redraw();
  });
  canvas.addEventListener("click", (event) => {
    const y = event.clientY - canvas.getBoundingClientRect().top;
    if (plot.foldedY !== null && y >= plot.foldedY && y < plot.axisY) document.getElementById("rows").click();
  });
  canvas.addEventListener("dblclick", (event) => { view.zoom(4, Math.min(1, Math.max(0, share(event.clientX)))); redraw(); });
}

const KEYS = {
  "+": (view) => view.zoom(1.5), "=": (view) => view.zoom(1.5), "-": (view) => view.zoom(1 / 1.5),
  "0": (view) => view.reset(), Escape: (view) => view.reset(),
  ArrowLeft: (view) => view.pan(-0.15), ArrowRight: (view) => view.pan(0.15),
  Home: (view) => view.pan(-1e9), End: (view) => view.pan(1e9),
};

function listenToKeys() {
  addEventListener("keydown", (event) => {
    const plot = state.plots.find((each) => each.canvas === event.target);
    if (plot && ["ArrowUp", "ArrowDown", "n", "p"].includes(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      moveCursor(plot, event.key);
      event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.id === "find") return;
    if (event.key === "f") document.getElementById("find").focus();
    else if (event.key === "r") document.getElementById("rows").click();
    else if (event.key === "t") document.getElementById("tasks").click();
    else if (event.key === "c") document.getElementById("path").click();
    else if (event.key === "d") document.getElementById("theme").click();
    else if (KEYS[event.key]) { state.views.forEach(KEYS[event.key]); redraw(); } else return;
    event.preventDefault();
  });
}

function listenToButtons() {
  const { views } = state, root = document.documentElement;
  const on = (id, act) => document.getElementById(id).addEventListener("click", () => { act(); redraw(); });
  on("closer", () => views.forEach((view) => view.zoom(2)));
  on("further", () => views.forEach((view) => view.zoom(0.5)));
  on("fit", () => views.forEach((view) => view.reset()));
  const switches = (id, name) => {
    const button = document.getElementById(id);
    on(id, () => {
      const isOn = button.getAttribute("aria-pressed") !== "true";
      for (const view of views) view[name] = isOn;
      button.setAttribute("aria-pressed", isOn);
    });
    return button;
  };
  const tasks = switches("tasks", "showsTasks");
  switches("rows", "showsAllRows").hidden = !state.plots.some((plot) => plot.isFoldable);
  tasks.hidden = !state.plots.some((plot) => plot.hasTaskRows);
  const path = switches("path", "showsPath"), key = document.getElementById("path-key");
  path.hidden = key.hidden = !state.plots.some((plot) => plot.line.path);
  on("theme", () => {
    const isDark = getComputedStyle(root).getPropertyValue("color-scheme").trim() === "dark";
    root.dataset.theme = isDark ? "light" : "dark";
    state.theme = readTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { state.theme = readTheme(); redraw(); });
  addEventListener("resize", redraw);
  addEventListener("scroll", () => { if (state.plots.some((plot) => plot.isStale)) redraw(); }, { passive: true });
}

/* The names' column: as wide as the longest name asks for, within reason. */
function gutterOf(plots) {
  const context = plots[0].context;
  context.font = `600 ${FONT}`;
  let widest = 118;
  for (const plot of plots)
    for (const row of plot.allRows.slice(0, 400)) widest = Math.max(widest, context.measureText(row.name.slice(0, 80)).width + (row.type === "executor" ? 22 : 30));
  context.font = SMALL;
  for (const plot of plots) for (const text of plot.captions) widest = Math.max(widest, context.measureText(text).width + 12);
  return Math.min(widest, 240, innerWidth * 0.35);
}

/* The next call whose name, label or detail has the words in it. */
function find(words, plots = state.plots) {
  const wanted = words.trim().toLowerCase();
  const has = ({ line }, spans, i) =>
    `${line.taskName(spans.T[i])}\n${line.labels[spans.L[i]] ?? ""}\n${line.details[spans.D[i]] ?? ""}`.toLowerCase().includes(wanted);
  if (wanted) goToNext(wanted, plots, has);
}

/* The next span for which `isIt` holds, and after the last one the first: its stretch fills a third of the picture. */
function goToNext(wanted, plots, isIt) {
  if (state.wanted !== wanted) {
    Object.assign(state, { wanted, found: -1, hits: [] });
    for (const plot of plots)
      for (const { name, spans } of plot.line.executors)
        for (let i = 0; i < spans.n; i++) if (isIt(plot, spans, i)) state.hits.push([plot, name, spans.S[i], spans.E[i]]);
  }
  const found = document.getElementById("found"), { hits } = state, count = hits.length.toLocaleString("en");
  if (!hits.length) { found.textContent = "not found"; return; }
  state.found = (state.found + 1) % hits.length;
  const [plot, name, from, until] = hits[state.found], per = plot.ticksPerUnit;
  const start = from / per, end = until / per, around = Math.max(end - start, plot.view.end / 1000);
  plot.view.show(start - around, end + around);
  showRow(plot, name);
  found.textContent = `${(state.found + 1).toLocaleString("en")} of ${count}`;
}

/* Bring an executor's row into sight, and mark its picture. */
function showRow(plot, name) {
  const isIts = (row) => row.type === "executor" && row.executors.includes(name);
  const at = plot.allRows.filter((row) => row.type === "executor").findIndex(isIts);
  if (plot.isFoldable && at >= plot.shownAtFirst && !plot.view.showsAllRows) document.getElementById("rows").click();
  drawAll();
  const row = plot.rows.find(isIts);
  scrollTo({ top: plot.canvas.getBoundingClientRect().top + scrollY + (row ? row.y : 0) - innerHeight / 2 });
  mark(plot.canvas.closest("section"));
}

function mark(section, isToBeSeen = false) {
  for (const each of document.querySelectorAll(".is-found")) each.classList.remove("is-found");
  section.classList.add("is-found");
  if (isToBeSeen) section.scrollIntoView();
}

function listenToSearch() {
  const field = document.getElementById("find");
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") find(field.value);
    else if (event.key === "Escape") { field.value = document.getElementById("found").textContent = ""; field.blur(); }
  });
  for (const article of document.querySelectorAll("article")) {
    const plots = state.plots.filter((plot) => article.contains(plot.canvas));
    for (const table of article.querySelectorAll("table:not(.bars)")) {
      const own = plots.filter((plot) => plot.canvas.closest("section").contains(table));
      const heading = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
      if (heading[0] === "line") listenToLines(table, heading, plots);
      else
        for (const line of table.tBodies[0].rows) {
          const found = targetOf([...line.cells].map((cell) => cell.textContent), own.length ? own : plots);
          if (found) makeButton(line, found);
        }
    }
  }
}

/* What a table's row is about: an executor, a timeline, or spans of one label (or kind) and place. Null for none. */
function targetOf([name, ...others], plots) {
  if (!name.trim()) return null;
  for (const plot of plots)
    if (plot.line.executors.some((executor) => executor.name === name)) return () => showRow(plot, name);
  const sections = plots.map((plot) => plot.canvas.closest("section"));
  const own = sections.filter((section) => section.querySelector("h2").textContent.split(",")[0] === name);
  if (own.length) return () => mark(own[own.length - 1], true);
  if (!plots.some((plot) => plot.line.labels.includes(name)) && !KIND_WORDS.includes(name)) return null;
  const isCalled = ({ line }, spans, i) => line.labels[spans.L[i]] === name || KIND_WORDS[spans.K[i]] === name;
  const isAt = ({ line }, spans, i) => others.some((text) => text && (line.details[spans.D[i]] ?? "").startsWith(text));
  const some = (isIt) => plots.some((plot) => plot.line.executors.some(({ spans }) => spans.S.some((_, i) => isIt(plot, spans, i))));
  const isIt = (...span) => isCalled(...span) && isAt(...span);
  return some(isCalled) ? () => goToNext([name, ...others].join("\n"), plots, some(isIt) ? isIt : isCalled) : null;
}

/* Lines of source, each with what one task did there, in the order of time: the next steps of that task at that line. */
function listenToLines(table, heading, plots) {
  for (const plot of plots) {
    const { line } = plot, { name, spans } = line.executors[0] ?? {};
    let at = 0;
    for (const row of table.tBodies[0].rows) {
      const cells = [...row.cells].map((cell) => cell.textContent), task = heading.findIndex((_, i) => i > 1 && cells[i]);
      const isIts = (i) => line.taskName(spans.T[i]) === heading[task] && spans.K[i] !== HELD
        && (line.details[spans.D[i]] ?? "").includes(`:${cells[0]} `);
      while (at < spans?.n && !isIts(at)) at++;
      if (!(at < spans?.n)) break;
      const first = at;
      makeButton(row, () => goToNext(`row ${row.rowIndex}`, [plot], (_, own, i) => own === spans && i === first));
      for (let i = at; i < spans.n && (isIts(i) || spans.K[i] === HELD); i++) at = i + 1;
    }
  }
}

/* The whole row may be clicked; by keyboard its first cell is a button. */
function makeButton(line, act) {
  const [cell] = line.cells, button = document.createElement("button");
  button.type = "button";
  button.textContent = cell.textContent;
  button.title = "Show it in the picture";
  cell.replaceChildren(button);
  line.classList.add("can-find");
  line.addEventListener("click", act);
}

function applyWishes(wish) {
  if (wish.has("theme")) document.documentElement.dataset.theme = wish.get("theme") === "dark" ? "dark" : "light";
  if (wish.get("tasks") === "0") document.getElementById("tasks").click();
  const [from, to] = (wish.get("zoom") ?? "").split(",").map(Number);
  if (to > from) state.views.forEach((view) => view.show(from, to));
  state.theme = readTheme();
}

function report(columns) {
  const timelines = state.plots.map((plot) => ({
    name: plot.line.name, t0: plot.t0 / plot.ticksPerUnit, t1: plot.t1 / plot.ticksPerUnit, spans: plot.line.spanCount,
    concurrency: [...means(plot.concurrency, plot.t0, plot.t1, columns)],
    parallelism: [...means(plot.parallelism, plot.t0, plot.t1, columns)],
    rows: plot.rows.map((row) => ({
      type: row.type, name: row.name, colour: plot.meanColour(row),
      shares: row.covers.length ? [...plot.sharesOf(row, columns)] : [],
    })),
  }));
  const text = document.createElement("pre");
  text.id = "report";
  text.hidden = true;
  text.textContent = JSON.stringify({ timelines });
  document.body.append(text);
}

async function main() {
  const begun = performance.now(), sources = [...document.querySelectorAll("script[type='text/plain']")];
  const lines = [];
  for (const source of sources) {
    lines.push(await unpack(source.textContent));
    source.remove(); // the text isn't needed twice in memory
  }
  const unpacked = performance.now(), canvases = [...document.querySelectorAll("section canvas:not(.axis)")];
  const groups = new Map(); // the pictures of one report share an axis, and so a view
  canvases.forEach((canvas, i) => {
    const { group } = canvas.closest("article").dataset;
    groups.set(group, [...(groups.get(group) ?? []), i]);
  });
  for (const members of groups.values()) {
    const view = new View(1, new Scale(members.map((i) => lines[i])));
    const plots = members.map((i) => new Plot(canvases[i], lines[i], view));
    view.end = Math.max(0, ...plots.map((plot) => plot.end)) || 1;
    view.reset();
    view.gutter = gutterOf(plots);
    state.views.push(view);
    state.plots.push(...plots);
  }
  if (innerWidth >= 1500) for (const figures of document.querySelectorAll(".bars ~ details.all, :has(> .bars) ~ details.all")) figures.open = true; // there is room beside the bars
  listenToButtons();
  listenToKeys();
  listenToSearch();
  listenToTables();
  state.plots.forEach(listenToPointer);
  const wish = wishes();
  applyWishes(wish);
  addEventListener("hashchange", () => { applyWishes(wishes()); redraw(); });
  const prepared = performance.now();
  drawAll(true);
  for (const still of document.querySelectorAll(".still")) still.remove();
  const drawn = performance.now();
  document.documentElement.dataset.ready = JSON.stringify({
    unpack_ms: unpacked - begun, prepare_ms: prepared - unpacked, draw_ms: drawn - prepared, since_open_ms: drawn,
  });
  if (wish.has("report")) report(Number(wish.get("report")) || 100);
}

main().catch((error) => {
  const note = document.getElementById("failed");
  note.hidden = false;
  note.textContent = `The picture can't be drawn here: ${error}. The figures below are complete all the same.`;
});
