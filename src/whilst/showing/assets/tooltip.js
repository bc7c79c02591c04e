"use strict";
/* What the pointer, or the keyboard's cursor, stands on, in words. */

const KIND_WORDS = ["work", "wait", "held off"];

function describe(plot, view, x, y) {
  const row = plot.rowAt(y), { scale } = view;
  const perPixel = (view.t1 - view.t0) / plot.plotWidth;
  const time = view.t0 + (x - plot.left) * perPixel;
  if (x < plot.left || time > view.t1) return null;
  if (row === null) return y < TOP + CURVE ? describeCurves(plot, view, time, perPixel) : null;
  const tick = time * plot.ticksPerUnit, perColumn = perPixel * plot.ticksPerUnit;
  if (row.type === "count") {
    const [work, held, wait] = row.counts.map((count) => written(means(count, tick, tick + perColumn, 1)[0]));
    return [`${work} at work, ${held} held off, ${wait} in a wait`, scale.format(time, perPixel, view.t1)];
  }
  const inColumn = row.spans ? firstFrom(row.spans, tick + perColumn / 2) - firstFrom(row.spans, tick - perColumn / 2) : 9;
  if (inColumn <= 2 && row.spans) {
    const at = spanAt(row.spans, tick);
    if (at >= 0) return describeSpan(plot, row, at, scale);
  }
  return describeShares(plot, view, row, tick, perColumn, time, perPixel);
}

function describeSpan(plot, row, at, scale) {
  const { spans } = row, { line } = plot, toUnit = (ticks) => ticks / plot.ticksPerUnit;
  const start = toUnit(spans.S[at]), end = toUnit(spans.E[at]), label = line.labels[spans.L[at]];
  const task = line.taskName(spans.T[at]), detail = line.details[spans.D[at]];
  const step = Math.max(end - start, plot.line.makespan / plot.ticksPerUnit / 1e6) / 200;
  const lines = [
    label && label !== task ? `${task}: ${label}` : task,
    `${KIND_WORDS[spans.K[at]]} for ${scale.length(end - start)}`,
    `${scale.format(start, step, end)} – ${scale.format(end, step, end)}`,
  ];
  if (detail) lines.push(detail);
  const onPath = line.path ? ticksOnPath(line.path, spans.T[at], spans.S[at], spans.E[at]) : 0;
  if (onPath) lines.push(`on the critical path for ${scale.length(toUnit(onPath))}`);
  const behind = row.type === "executor" && row.covers[0].overlaps ? openAt(spans, spans.S[at], at) : 0;
  if (behind) lines.push(`meanwhile ${behind} other${behind > 1 ? "s" : ""} in a wait or held off here`);
  return lines;
}

function openAt(spans, t, except) {
  let open = 0;
  for (let i = firstFrom(spans, t + 1) - 1, steps = 0; i >= 0 && steps < 20000; i--, steps++)
    if (i !== except && spans.E[i] > t) open++;
  return open;
}

function describeShares(plot, view, row, tick, perColumn, time, perPixel) {
  const shares = new Float32Array(3);
  for (const cover of row.covers)
    addShares(cover, Math.max(0, tick - perColumn / 2), tick + perColumn / 2, 1, 1 / row.covers.length, shares);
  const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
  const idle = Math.max(0, 1 - shares[0] - shares[1] - shares[2]);
  if (idle > 0.9995) return [`${row.name || "these tasks"}: idle`, view.scale.format(time, perPixel, view.t1)];
  const lines = [
    `${row.name || "these tasks"} at ${view.scale.format(time, perPixel, view.t1)}`,
    `work ${percent(shares[WORK])}, wait ${percent(shares[WAIT])}, held off ${percent(shares[HELD])}, idle ${percent(idle)}`,
  ];
  if (row.size > 1) lines.push(`mean of ${row.size} executors`);
  return lines;
}

function describeCurves(plot, view, time, perPixel) {
  const from = time * plot.ticksPerUnit, until = from + perPixel * plot.ticksPerUnit;
  const [concurrency] = means(plot.concurrency, from, until, 1), [parallelism] = means(plot.parallelism, from, until, 1);
  return [
    `${written(concurrency)} task${concurrency === 1 ? "" : "s"} in progress, ${written(parallelism)} at work`,
    view.scale.format(time, perPixel, view.t1),
  ];
}

const written = (value) => (Math.abs(value - Math.round(value)) < 0.005 ? `${Math.round(value)}` : value.toFixed(2));

function placeTooltip(tip, lines, clientX, clientY) {
  tip.replaceChildren(...lines.map((text) => {
    const line = document.createElement("div");
    line.textContent = text.length > 300 ? text.slice(0, 300) + "…" : text;
    return line;
  }));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = clientX + 14 + width > innerWidth ? clientX - width - 10 : clientX + 14;
  const top = clientY + 18 + height > innerHeight ? clientY - height - 10 : clientY + 18;
  tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}
