"use strict";
/* A packed timeline back into columns; what packing.py wrote is described there. */

async function unpack(base64) {
  const text = atob(base64.trim());
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const plain = new Uint8Array(await new Response(stream).arrayBuffer());
  const headerLength = new DataView(plain.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(plain.subarray(4, 4 + headerLength)));
  const columns = readColumns(plain, 4 + headerLength, head);
  return timelineOf(head, columns);
}

function readColumns(plain, at, head) {
  const n = head.counts.reduce((sum, count) => sum + count, 0);
  const columns = {};
  for (const name of ["start", "length", "kind", "task", "label", "detail"]) {
    const column = new Uint32Array(n);
    for (let plane = 0; plane < head.planes[name]; plane++) {
      const shift = 8 * plane;
      for (let i = 0; i < n; i++) column[i] |= plain[at + i] << shift;
      at += n;
    }
    columns[name] = column;
  }
  return columns;
}

const unzigzag = (value) => (value >>> 1) ^ -(value & 1);

/* Undo the differences in place and cut the columns by executor; S and E are ticks from the timeline's origin. */
function timelineOf(head, columns) {
  const { start, length: end, kind, task, label, detail } = columns;
  const executors = [];
  let at = 0, makespan = 0;
  head.executors.forEach((name, position) => {
    const from = at, until = at + head.counts[position];
    let before = 0, taskBefore = 0;
    for (; at < until; at++) {
      start[at] = before + unzigzag(start[at]);
      before = end[at] = start[at] + end[at];
      task[at] = taskBefore = taskBefore + unzigzag(task[at]);
      if (before > makespan) makespan = before;
    }
    const cut = (column) => column.subarray(from, until);
    executors.push({
      name,
      spans: { n: until - from, S: cut(start), E: cut(end), K: cut(kind), T: cut(task), L: cut(label), D: cut(detail) },
    });
  });
  const { stem, length } = head.tasks;
  const taskName = stem === undefined ? (i) => head.tasks[i] : (i) => `${stem} ${i}`;
  return {
    name: head.name, unit: head.unit, unitS: head.unit_s, tickS: head.tick_s, cores: head.cores,
    isPredicted: head.is_predicted, labels: head.labels, details: head.details,
    taskCount: stem === undefined ? head.tasks.length : length, taskName,
    executors, makespan, spanCount: start.length, path: pathOf(head),
  };
}
