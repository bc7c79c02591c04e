"use strict";
/* What is true of a stretch of time: for each row the shares of work, held off and wait, and the counts above them.

   Every answer is the difference of two cumulative sums, found by a search in sorted bounds. So a pixel column that
   covers ten thousand spans costs what one that covers a single span costs, and its share is exact. */

const WORK = 0, WAIT = 1, HELD = 2, IDLE = 3;

/* The largest i in [low, high) with bounds[i] <= t, or low; gallops from low, since columns are asked left to right. */
function locate(bounds, t, low, high) {
  let step = 1;
  while (low + step < high && bounds[low + step] <= t) { low += step; step *= 2; }
  let top = Math.min(low + step, high);
  while (top - low > 1) {
    const middle = (low + top) >> 1;
    if (bounds[middle] <= t) low = middle; else top = middle;
  }
  return low;
}

/* A row's time cut into stretches of one state: work if any task works, else held off, else wait, else idle. */
function coverOf({ n, S, E, K }) {
  let overlaps = false, last = 0;
  for (let i = 0; i < n && !overlaps; i++) {
    if (S[i] < last) overlaps = true;
    if (E[i] > last) last = E[i];
  }
  const stretches = overlaps ? mergedStretches(n, S, E, K) : plainStretches(n, S, E, K);
  const { bounds, states, length } = stretches;
  const sums = [new Float64Array(length), new Float64Array(length), new Float64Array(length)];
  for (let i = 1; i < length; i++) {
    for (let kind = 0; kind < 3; kind++) sums[kind][i] = sums[kind][i - 1];
    const state = states[i - 1];
    if (state !== IDLE) sums[state][i] += bounds[i] - bounds[i - 1];
  }
  return { bounds, states, sums, length, overlaps };
}

function plainStretches(n, S, E, K) {
  const bounds = new Uint32Array(2 * n + 1), states = new Uint8Array(2 * n + 1);
  let length = 1, last = 0;
  states[0] = IDLE;
  for (let i = 0; i < n; i++) {
    if (E[i] === S[i]) continue;
    if (S[i] > last) bounds[length++] = S[i];
    bounds[length - 1] = S[i];
    states[length - 1] = K[i];
    bounds[length] = last = E[i];
    states[length++] = IDLE;
  }
  return { bounds, states, length };
}

function mergedStretches(n, S, E, K) {
  const events = []; // per kind: sorted starts and ends; their merge counts how many spans of the kind are open
  for (let kind = 0; kind < 3; kind++) {
    let count = 0;
    for (let i = 0; i < n; i++) if (K[i] === kind) count++;
    const starts = new Uint32Array(count), ends = new Uint32Array(count);
    for (let i = 0, j = 0; i < n; i++) if (K[i] === kind) { starts[j] = S[i]; ends[j++] = E[i]; }
    events.push({ starts, ends: ends.sort(), begun: 0, ended: 0, count });
  }
  const bounds = new Uint32Array(2 * n + 2), states = new Uint8Array(2 * n + 2);
  let length = 1;
  states[0] = IDLE;
  for (;;) {
    let now = Infinity;
    for (const e of events) {
      if (e.begun < e.count) now = Math.min(now, e.starts[e.begun]);
      if (e.ended < e.count) now = Math.min(now, e.ends[e.ended]);
    }
    if (now === Infinity) return { bounds, states, length };
    for (const e of events) {
      while (e.begun < e.count && e.starts[e.begun] === now) e.begun++;
      while (e.ended < e.count && e.ends[e.ended] === now) e.ended++;
    }
    const open = (kind) => events[kind].begun > events[kind].ended;
    const state = open(WORK) ? WORK : open(HELD) ? HELD : open(WAIT) ? WAIT : IDLE;
    if (now === bounds[length - 1]) states[length - 1] = state;
    else if (state !== states[length - 1]) { bounds[length] = now; states[length++] = state; }
  }
}

/* Add to out[3 * column + kind] the share of each kind in each of `columns` equal stretches of [t0, t1), times weight. */
function addShares(cover, t0, t1, columns, weight, out) {
  const { bounds, states, sums, length } = cover;
  const step = (t1 - t0) / columns, scale = weight / step;
  const before = [0, 0, 0];
  let at = 0;
  for (let column = 0; column <= columns; column++) {
    const t = t0 + column * step;
    at = locate(bounds, t, at, length);
    const state = states[at], within = Math.max(0, t - bounds[at]);
    for (let kind = 0; kind < 3; kind++) {
      const sum = sums[kind][at] + (state === kind ? within : 0);
      if (column > 0) out[3 * (column - 1) + kind] += (sum - before[kind]) * scale;
      before[kind] = sum;
    }
  }
}

/* How many of the intervals are open over time, with its integral. Sorts `ends`; `starts` too unless said sorted. */
function countOf(starts, ends) {
  starts.sort();
  ends.sort();
  const bounds = new Uint32Array(2 * starts.length + 1), values = new Uint32Array(2 * starts.length + 1);
  let length = 1, begun = 0, ended = 0, maximum = 0;
  while (ended < ends.length) {
    const now = begun < starts.length ? Math.min(starts[begun], ends[ended]) : ends[ended];
    while (begun < starts.length && starts[begun] === now) begun++;
    while (ended < ends.length && ends[ended] === now) ended++;
    if (now > bounds[length - 1]) length++;
    bounds[length - 1] = now;
    values[length - 1] = begun - ended;
  }
  const sums = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    if (i) sums[i] = sums[i - 1] + values[i - 1] * (bounds[i] - bounds[i - 1]);
    if (values[i] > maximum) maximum = values[i];
  }
  return { bounds, values, sums, length, maximum };
}

/* The mean of a count over each of `columns` equal stretches of [t0, t1). */
function means(count, t0, t1, columns) {
  const out = new Float32Array(columns), step = (t1 - t0) / columns;
  let at = 0, before = 0;
  for (let column = 0; column <= columns; column++) {
    const t = t0 + column * step;
    at = locate(count.bounds, t, at, count.length);
    const sum = count.sums[at] + count.values[at] * Math.max(0, t - count.bounds[at]);
    if (column > 0) out[column - 1] = (sum - before) / step;
    before = sum;
  }
  return out;
}

/* Tasks begun and not ended, over the given groups of spans. */
function concurrencyOf(groups, taskCount) {
  const first = new Uint32Array(taskCount).fill(0xffffffff), last = new Uint32Array(taskCount);
  for (const { n, S, E, T } of groups)
    for (let i = 0; i < n; i++) {
      const task = T[i];
      if (S[i] < first[task]) first[task] = S[i];
      if (E[i] > last[task]) last[task] = E[i];
    }
  const seen = (_, task) => first[task] !== 0xffffffff;
  return countOf(first.filter((start) => start !== 0xffffffff), last.filter(seen));
}

/* Spans of a kind open at the same instant, over the given groups of spans; of work, that is the parallelism. */
function openOf(groups, kind) {
  let total = 0;
  for (const { n, K } of groups) for (let i = 0; i < n; i++) if (K[i] === kind) total++;
  const starts = new Uint32Array(total), ends = new Uint32Array(total);
  let at = 0;
  for (const { n, S, E, K } of groups)
    for (let i = 0; i < n; i++) if (K[i] === kind) { starts[at] = S[i]; ends[at++] = E[i]; }
  return countOf(starts, ends);
}
