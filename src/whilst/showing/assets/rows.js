"use strict";
/* Which rows a timeline is drawn as: one an executor, and below it what overlaps there. Those of executors that did next
   to nothing beside the busiest come last.

   A row has a name, covers (several where executors are folded into one row) and, where its spans don't overlap or can
   be told apart, the spans themselves for labels and for the tooltip. */

const QUIET = 0.01; // of what the busiest executor's spans take
const MOST_EXECUTOR_ROWS = 300, MOST_TASK_ROWS = 8, MOST_LANES = 16, MOST_ROWS_BELOW = 120;

const byName = new Intl.Collator("en", { numeric: true });

function rowsOf(line) {
  const { busy, quiet } = busyAndQuiet(line);
  const groups = foldedExecutors(busy), quietGroups = foldedExecutors(quiet);
  const rows = [];
  let below = 0;
  for (const group of [...groups, ...quietGroups]) {
    const covers = group.map((executor) => coverOf(executor.spans));
    const spans = group.length === 1 ? group[0].spans : null;
    const name = group.length === 1 ? group[0].name : `${group[0].name} … ${group[group.length - 1].name}`;
    rows.push({ type: "executor", name, of: group, covers, spans, size: group.length, executors: group.map((each) => each.name), isQuiet: quietGroups.includes(group) });
    if (spans === null || !covers[0].overlaps) continue;
    const lanes = below < MOST_ROWS_BELOW ? lanesOf(spans, line) : [];
    below += lanes.length;
    rows.push(...lanes.map((lane) => ({ ...lane, of: group })));
  }
  return rows;
}

/* As `rows.py` has it: spans of one executor may overlap, and a single quiet one is no crowd. */
function busyAndQuiet(line) {
  const executors = [...line.executors].sort((a, b) => byName.compare(a.name, b.name));
  const lengths = new Map(executors.map((executor) => [executor, lengthOf(executor.spans)]));
  const least = QUIET * Math.min(line.makespan, Math.max(0, ...lengths.values()));
  const quiet = executors.filter((executor) => lengths.get(executor) < least);
  return quiet.length < 2 ? { busy: executors, quiet: [] } : { busy: executors.filter((each) => !quiet.includes(each)), quiet };
}

function lengthOf({ n, S, E }) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += E[i] - S[i];
  return sum;
}

function foldedExecutors(executors) {
  const size = Math.ceil(executors.length / MOST_EXECUTOR_ROWS);
  const groups = [];
  for (let i = 0; i < executors.length; i += size) groups.push(executors.slice(i, i + size));
  return groups;
}

/* A row for each task if they are few; else as few rows as hold the tasks side by side; else the number in progress. */
function lanesOf(spans, line) {
  const order = [], first = new Map(), last = new Map();
  for (let i = 0; i < spans.n; i++) {
    const task = spans.T[i];
    if (!first.has(task)) { first.set(task, spans.S[i]); order.push(task); }
    last.set(task, Math.max(last.get(task) ?? 0, spans.E[i]));
  }
  const laneOf = new Map(), freeAt = [];
  if (order.length <= MOST_TASK_ROWS) order.forEach((task, lane) => laneOf.set(task, lane));
  else
    for (const task of order) {
      let lane = freeAt.findIndex((end) => end <= first.get(task));
      if (lane < 0) lane = freeAt.length;
      if (lane >= MOST_LANES) {
        return [countRow(spans, line)];
      }
      freeAt[lane] = last.get(task);
      laneOf.set(task, lane);
    }
  const lanes = freeAt.length || order.length;
  return Array.from({ length: lanes }, (_, lane) => {
    const own = picked(spans, (i) => laneOf.get(spans.T[i]) === lane);
    const name = freeAt.length ? "" : line.taskName(order[lane]);
    return { type: "task", name, tasks: new Set(own.T), covers: [coverOf(own)], spans: own, size: 1 };
  });
}

/* Work, held off and wait stacked, each as high as that many tasks at once. */
function countRow(spans, line) {
  const counts = [WORK, HELD, WAIT].map((kind) => openOf([spans], kind));
  const most = concurrencyOf([spans], line.taskCount).maximum;
  return { type: "count", name: `tasks ≤ ${most.toLocaleString("en")}`, counts, most, covers: [], spans };
}

function picked(spans, isWanted) {
  const at = [];
  for (let i = 0; i < spans.n; i++) if (isWanted(i)) at.push(i);
  const cut = (column) => Uint32Array.from(at, (i) => column[i]);
  return { n: at.length, S: cut(spans.S), E: cut(spans.E), K: cut(spans.K), T: cut(spans.T), L: cut(spans.L), D: cut(spans.D) };
}

/* The first span of the row that begins at or after t. */
function firstFrom(spans, t) {
  let low = 0, high = spans.n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans.S[middle] < t) low = middle + 1; else high = middle;
  }
  return low;
}

/* The span of a row at an instant; where several overlap, the one that the row's colour shows. -1 for none. */
function spanAt(spans, t, mostSteps = 20000) {
  let best = -1;
  const rank = [3, 1, 2]; // of work, wait, held off
  for (let i = firstFrom(spans, t + 1e-9) - 1, steps = 0; i >= 0 && steps < mostSteps; i--, steps++) {
    if (spans.E[i] <= t) continue;
    if (best < 0 || rank[spans.K[i]] > rank[spans.K[best]]) best = i;
    if (spans.K[best] === WORK) break;
  }
  return best;
}
