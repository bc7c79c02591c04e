"use strict";
/* The picture for whoever reads it instead of seeing it: as a table, and span by span with the keyboard. */

/* The spans in sight as a table, for whoever can't see the picture, or wants to read off more than it has room for. */
const MOST_LISTED = 500;

function fillTable(plot, place) {
  const { line, view, ticksPerUnit: per } = plot, spans = [];
  let total = 0;
  for (const executor of line.executors)
    for (let i = 0; i < executor.spans.n; i++) {
      const start = executor.spans.S[i] / per, end = executor.spans.E[i] / per;
      if (end < view.t0 || start > view.t1) continue;
      if (total++ < 200000) spans.push([start, end, executor, i]);
    }
  spans.sort((one, two) => one[0] - two[0]);
  const unit = view.scale.written(view.t1)[1], factor = view.scale.written(view.t1)[0];
  const at = (value) => `${Number((value * factor).toPrecision(6))}`;
  const table = document.createElement("table"), body = table.createTBody();
  const heading = table.createTHead().insertRow();
  for (const text of ["who", "task", "step", "kind", `from [${unit}]`, `to [${unit}]`]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    heading.append(cell);
  }
  for (const [start, end, executor, i] of spans.slice(0, MOST_LISTED)) {
    const row = body.insertRow(), { spans: own } = executor;
    const step = [line.labels[own.L[i]], line.details[own.D[i]]].filter(Boolean).join(", ");
    for (const text of [executor.name, line.taskName(own.T[i]), step, KIND_WORDS[own.K[i]], at(start), at(end)])
      row.insertCell().textContent = text;
  }
  const left = total - Math.min(total, MOST_LISTED);
  table.createCaption().textContent = left
    ? `The first ${MOST_LISTED} of ${total.toLocaleString("en")} spans in sight; zoom in for others` : `${total.toLocaleString("en")} spans`;
  place.replaceChildren(table);
}

function listenToTables() {
  for (const plot of state.plots) {
    const details = plot.canvas.closest("section").querySelector("details.spans");
    plot.table = () => { if (details.open) fillTable(plot, details.querySelector("div")); };
    details.addEventListener("toggle", plot.table);
  }
}

/* The keyboard's cursor in the picture that has the focus: a row and a span of it, told as the pointer's are. */
function moveCursor(plot, key) {
  const rows = plot.rows.filter((row) => row.spans?.n), cursor = plot.cursor ?? { row: 0, at: -1 };
  if (!rows.length) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[key] ?? 0;
  const row = Math.max(0, Math.min(rows.length - 1, cursor.row + (plot.cursor ? step : 0))), { spans } = rows[row];
  let at = cursor.at + ({ n: 1, p: -1 }[key] ?? 0);
  if (row !== cursor.row) at = firstFrom(spans, plot.cursor.start);
  at = Math.max(0, Math.min(spans.n - 1, at));
  plot.cursor = { row, at, start: spans.S[at] };
  const start = spans.S[at] / plot.ticksPerUnit, end = spans.E[at] / plot.ticksPerUnit, { view } = plot;
  if (end < view.t0 || start > view.t1) {
    const half = (view.t1 - view.t0) / 2, middle = (start + end) / 2;
    view.show(middle - half, middle + half);
    drawAll();
  }
  const tip = document.getElementById("tip"), box = plot.canvas.getBoundingClientRect(), seen = Math.max(view.t0, start);
  const x = box.left + plot.left + ((seen - view.t0) / (view.t1 - view.t0)) * plot.plotWidth;
  const who = rows[row].name ? [rows[row].name] : [];
  placeTooltip(tip, [...describeSpan(plot, rows[row], at, view.scale), ...who], x, box.top + rows[row].y);
}
