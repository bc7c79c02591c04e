"use strict";
/* The critical path: a line along the upper edge of the row on which it runs, and upright ones where it passes to
   another row. It is told by its place, not by a colour, and hides nothing. */

/* Stretches in order of time, as packing.py wrote them: executor, task, ticks since the one before, ticks. */
function pathOf(head) {
  if (!head.path) return null;
  const [executors, tasks, gaps, lengths] = head.path;
  let at = 0;
  return executors.map((executor, i) => ({ executor, task: tasks[i], start: (at += gaps[i]), end: (at += lengths[i]) }));
}

/* The first stretch that ends after t. */
function firstOfPath(path, t) {
  let low = 0, high = path.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (path[middle].end <= t) low = middle + 1; else high = middle;
  }
  return low;
}

/* For how many ticks a task is on the path between two instants. */
function ticksOnPath(path, task, start, end) {
  let sum = 0;
  for (let i = firstOfPath(path, start); i < path.length && path[i].start < end; i++)
    if (path[i].task === task) sum += Math.min(end, path[i].end) - Math.max(start, path[i].start);
  return sum;
}

/* For an executor and a task the row that shows them: the task's own, where there is one. */
function rowsByPlace(plot) {
  const byExecutor = new Map(), byTask = new Map();
  for (const row of plot.rows)
    for (const executor of row.of) {
      if (row.type === "executor") byExecutor.set(executor, row);
      else if (row.type === "task") for (const task of row.tasks) byTask.set(task, row);
    }
  const { executors } = plot.line;
  return ({ executor, task }) => byTask.get(task) ?? byExecutor.get(executors[executor]);
}

function drawPath(plot, theme) {
  const { context: c, line: { path }, left } = plot, right = left + plot.plotWidth, rowOf = rowsByPlace(plot), filled = new Map();
  const folded = plot.foldedY === null ? null : { y: plot.foldedY + 1, height: 20 }; // where the rows that are left out would be
  c.fillStyle = theme.text;
  let before = null, passed = -9;
  for (let i = firstOfPath(path, plot.t0); i < path.length && path[i].start < plot.t1; i++) {
    const row = rowOf(path[i]) ?? folded;
    if (!row) { before = null; continue; }
    const thick = row.height > 8 ? 3 : 2, y = row.y - thick, from = Math.max(left, plot.x(path[i].start));
    const until = Math.min(right, Math.max(plot.x(path[i].end), from + 1)), at = Math.max(from, filled.get(row) ?? left);
    if (until > at) c.fillRect(at, y, until - at, thick);
    filled.set(row, Math.max(at, until));
    // Upright lines nearer than this would be a block that hides what is below.
    if (before && before.row !== row && from - passed >= 4) {
      const top = Math.min(before.y, y);
      c.fillRect(from - 0.5, top, 1, Math.max(before.y, y) - top + thick);
      passed = from;
    }
    before = { row, y };
  }
}
