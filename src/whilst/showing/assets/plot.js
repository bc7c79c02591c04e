"use strict";
/* One timeline on one canvas: the curves above, the rows below them, the axis at the foot.

   Rows are written pixel by pixel: in each column the height of each colour is the share of the column's time that was
   of that kind, whether the column covers half a span or ten thousand. Text and separators come on top. */

const MOST_SHOWN = 8; // executors, until all rows are asked for
const CURVE = 58, AXIS = 22, TOP = 6, RIGHT = 14, GAP_BELOW_CURVES = 8;
const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const SMALL = "11px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

const ORDER = [WORK, HELD, WAIT, IDLE];

class Plot {
  constructor(canvas, line, view) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.axis = canvas.nextElementSibling;
    this.view = view;
    const { scale } = view;
    this.line = line;
    this.ticksPerUnit = scale.secondsPerUnit(line) / line.tickS;
    const groups = line.executors.map((executor) => executor.spans);
    this.concurrency = concurrencyOf(groups, line.taskCount);
    this.parallelism = openOf(groups, WORK);
    this.allRows = rowsOf(line);
    this.hasTaskRows = this.allRows.some((row) => row.type !== "executor");
    const executors = this.allRows.filter((row) => row.type === "executor");
    this.executorRows = executors.length;
    this.quietRows = executors.filter((row) => row.isQuiet).length;
    this.shownAtFirst = Math.min(MOST_SHOWN, this.executorRows - this.quietRows);
    this.isFoldable = this.executorRows > this.shownAtFirst + 1;
    this.textWidths = new Map();
  }

  get captions() {
    return [`concurrency ≤ ${this.concurrency.maximum.toLocaleString("en")}`, `parallelism ≤ ${this.parallelism.maximum.toLocaleString("en")}`];
  }

  get end() { return this.line.makespan / this.ticksPerUnit; }

  layout(view) {
    const isFolded = this.isFoldable && !view.showsAllRows;
    const executors = isFolded ? this.shownAtFirst : this.executorRows;
    const height = executors <= 12 ? 24 : executors <= 30 ? 18 : executors <= 80 ? 12 : executors <= 160 ? 7 : 4;
    let y = TOP + CURVE + GAP_BELOW_CURVES;
    this.rows = [];
    let shown = 0;
    for (const row of this.allRows) {
      if (isFolded && row.type === "executor" && ++shown > this.shownAtFirst) break;
      if (row.type !== "executor" && !view.showsTasks) continue;
      const own = row.type === "executor" ? height : row.type === "count" ? Math.max(12, height - 6) : Math.max(5, height - 7);
      if (row.type === "executor" && this.rows.length) y += height > 8 ? 6 : 1;
      this.rows.push({ ...row, y, height: own });
      y += own + (own > 8 ? 3 : 1);
    }
    this.foldedY = isFolded ? y : null;
    if (isFolded) y += 20;
    this.axisY = y + 2;
    this.height = this.axisY + 3;
    this.left = view.gutter;
    this.width = this.canvas.parentElement.clientWidth;
    this.plotWidth = Math.max(40, this.width - this.left - RIGHT);
  }

  draw(view, theme) {
    this.layout(view);
    const { canvas, context: c } = this, ratio = window.devicePixelRatio || 1;
    this.ratio = ratio;
    const pixelWidth = Math.round(this.width * ratio), pixelHeight = Math.round(this.height * ratio);
    if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) {
      canvas.width = pixelWidth;
      canvas.height = pixelHeight;
      canvas.style.height = `${this.height}px`;
    }
    this.t0 = view.t0 * this.ticksPerUnit;
    this.t1 = view.t1 * this.ticksPerUnit;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = theme.background;
    c.fillRect(0, 0, this.width, this.height);
    this.drawGrid(view, theme);
    this.drawAxis(view, theme);
    this.drawCurves(theme);
    this.drawRows(view, theme);
    if (this.line.path && view.showsPath) drawPath(this, theme);
    this.drawNames(theme);
    this.drawLabels(theme);
    if (this.foldedY === null) return;
    c.font = SMALL;
    c.textAlign = "left";
    c.fillStyle = theme.parallelismText;
    const left = this.executorRows - this.shownAtFirst, idle = this.quietRows === left ? "nearly idle" : `${this.quietRows.toLocaleString("en")} nearly idle`;
    c.fillText(`… and ${left.toLocaleString("en")} more${this.quietRows ? `, ${idle}` : ""} (click, or r)`, 10, this.foldedY + 9);
  }

  /* A canvas of its own, which stays in sight while the rows above it are scrolled. */
  drawAxis(view, theme) {
    const { axis, ratio } = this, c = axis.getContext("2d"), { step, format } = view.ticks(this.plotWidth);
    axis.width = Math.round(this.width * ratio);
    axis.height = Math.round(AXIS * ratio);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = theme.background;
    c.fillRect(0, 0, this.width, AXIS);
    c.font = SMALL;
    c.textBaseline = "top";
    c.textAlign = "center";
    c.fillStyle = theme.muted;
    for (let k = Math.ceil(view.t0 / step - 1e-9); k * step <= view.t1 * (1 + 1e-12); k++) {
      const x = this.left + ((k * step - view.t0) / (view.t1 - view.t0)) * this.plotWidth, text = format(k * step);
      c.fillText(text, Math.min(x, this.width - this.widthOf(text) / 2 - 1), 4);
    }
  }

  x(t) { return this.left + ((t - this.t0) / (this.t1 - this.t0)) * this.plotWidth; }

  /* Which columns carry a line of the grid; it shows where nothing happened, and never cuts a bar. */
  gridColumns(view, columns) {
    const isLine = new Uint8Array(columns), { step } = view.ticks(this.plotWidth);
    for (let k = Math.ceil(view.t0 / step - 1e-9); k * step <= view.t1 * (1 + 1e-12); k++) {
      const x = Math.round(((k * step - view.t0) / (view.t1 - view.t0)) * columns - 0.5);
      if (x >= 0 && x < columns) isLine[x] = 1;
    }
    return isLine;
  }

  drawRows(view, theme) {
    const columns = Math.round(this.plotWidth * this.ratio);
    if (!this.rows.length || columns < 1) return;
    const from = Math.round(this.rows[0].y * this.ratio), until = Math.ceil((this.axisY - 2) * this.ratio);
    const image = this.context.createImageData(columns, until - from);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(theme.packed.background);
    this.columns = columns;
    const isLine = (this.isLine = this.gridColumns(view, columns));
    for (let x = 0; x < columns; x++)
      if (isLine[x]) for (let i = x; i < pixels.length; i += columns) pixels[i] = theme.packed.grid;
    for (const row of this.rows) {
      const top = Math.round(row.y * this.ratio) - from, height = Math.max(1, Math.round(row.height * this.ratio));
      if (row.type === "count") this.paintCount(row, pixels, columns, top, height, theme);
      else this.paintShares(row, pixels, columns, top, height, theme);
    }
    this.context.putImageData(image, Math.round(this.left * this.ratio), from);
    const end = this.x(this.line.makespan);
    if (end < this.left || end > this.left + this.plotWidth + 1) return;
    this.context.fillStyle = theme.text;
    this.context.fillRect(Math.round(end), TOP + CURVE, 1.5, this.axisY - TOP - CURVE + 3);
  }

  sharesOf(row, columns = this.columns) {
    const shares = new Float32Array(3 * columns);
    for (const cover of row.covers) addShares(cover, this.t0, this.t1, columns, 1 / row.covers.length, shares);
    return shares;
  }

  paintShares(row, pixels, columns, top, height, theme) {
    const shares = this.sharesOf(row), { packed } = theme;
    const past = Math.ceil(((this.line.makespan - this.t0) / (this.t1 - this.t0)) * columns);
    const until = Math.min(columns, past);
    for (let x = 0; x < until; ) {
      const kind = onlyKind(shares, x);
      if (kind < 0) { paintMixed(shares, x++, pixels, columns, top, height, packed, this.isLine); continue; }
      let end = x + 1;
      while (end < until && onlyKind(shares, end) === kind) end++;
      for (let y = top; y < top + height; y++) {
        const line = y * columns;
        if (kind === WORK) pixels.fill(packed.kinds[WORK], line + x, line + end);
        else if (kind !== IDLE) for (let at = x; at < end; at++) pixels[line + at] = shade(packed, kind, at, y);
        else for (let at = x; at < end; at++) if (!this.isLine[at]) pixels[line + at] = packed.kinds[IDLE];
      }
      x = end;
    }
  }

  paintCount(row, pixels, columns, top, height, theme) {
    const layers = row.counts.map((count) => means(count, this.t0, this.t1, columns)), kinds = [WORK, HELD, WAIT];
    for (let x = 0; x < columns; x++) {
      let sum = 0, up = 0;
      for (let layer = 0; layer < 3; layer++) {
        sum += layers[layer][x];
        const until = Math.min(height, Math.round((sum / Math.max(1, row.most)) * height));
        for (; up < until; up++) {
          const y = top + height - 1 - up;
          pixels[y * columns + x] = shade(theme.packed, kinds[layer], x, y);
        }
      }
    }
  }

  drawGrid(view, theme) {
    const c = this.context, { step } = view.ticks(this.plotWidth);
    for (let k = Math.ceil(view.t0 / step - 1e-9); k * step <= view.t1 * (1 + 1e-12); k++) {
      const x = this.left + ((k * step - view.t0) / (view.t1 - view.t0)) * this.plotWidth;
      c.fillStyle = theme.grid;
      c.fillRect(Math.round(x), TOP, 1, this.axisY - TOP + 3);
    }
  }

  /* Both curves on one scale where that can be read; else one above the other, since concurrency can be hundreds
     where parallelism is two. */
  drawCurves(theme) {
    const c = this.context, { cores } = this.line, foot = TOP + CURVE;
    const most = Math.max(1, this.concurrency.maximum), mostParallel = Math.max(1, this.parallelism.maximum, cores ?? 0);
    const isShared = most <= 5 * mostParallel, half = Math.round(CURVE / 2);
    const upper = isShared
      ? { foot, rise: CURVE - 8, scale: Math.max(most, mostParallel) } : { foot: foot - half - 4, rise: half - 8, scale: most };
    const lower = isShared ? upper : { foot, rise: half - 4, scale: mostParallel };
    this.drawCurve(this.concurrency, upper, theme.concurrency, theme);
    this.drawCurve(this.parallelism, lower, theme.parallelism, theme);
    c.textAlign = "right";
    c.textBaseline = "middle";
    c.font = SMALL;
    c.fillStyle = theme.muted;
    const [concurrency, parallelism] = this.captions;
    c.fillText(concurrency, this.left - 10, TOP + 12);
    c.fillStyle = theme.parallelismText;
    c.fillText(parallelism, this.left - 10, TOP + (isShared ? 28 : 36));
    this.drawCores(theme, lower, TOP + (isShared ? 44 : 51));
  }

  drawCurve(count, { foot, rise, scale }, fill, theme) {
    const c = this.context, columns = Math.round(this.plotWidth), values = means(count, this.t0, this.t1, columns);
    c.fillStyle = fill;
    c.beginPath();
    c.moveTo(this.left, foot);
    for (let x = 0; x < columns; x++) {
      const y = foot - (rise * values[x]) / scale;
      c.lineTo(this.left + x, y);
      c.lineTo(this.left + x + 1, y);
    }
    c.lineTo(this.left + columns, foot);
    c.fill();
    c.fillStyle = theme.line;
    c.fillRect(this.left, foot, this.plotWidth, 1);
  }

  drawCores(theme, { foot, rise, scale }, textY) {
    const c = this.context, { cores } = this.line;
    if (cores === null || cores > scale) return;
    const y = Math.round(foot - (rise * cores) / scale) + 0.5;
    c.strokeStyle = theme.cores;
    c.setLineDash([5, 4]);
    c.beginPath();
    c.moveTo(this.left, y);
    c.lineTo(this.left + this.plotWidth, y);
    c.stroke();
    c.setLineDash([]);
    c.fillStyle = theme.cores;
    c.fillText(cores === 1 ? "1 core" : `${cores} cores`, this.left - 10, textY);
  }

  drawNames(theme) {
    const c = this.context;
    c.textAlign = "left";
    c.textBaseline = "middle";
    let free = 0;
    for (const row of this.rows) {
      const middle = row.y + row.height / 2, isTask = row.type !== "executor";
      if (middle - 6 < free || !row.name) continue;
      c.font = isTask ? SMALL : `600 ${FONT}`;
      c.fillStyle = isTask ? theme.muted : theme.text;
      const indent = isTask ? 22 : 10;
      c.fillText(this.withEnds(row.name, this.left - indent - 8), indent, middle + 0.5);
      free = middle + 6;
    }
  }

  /* Labels and separators, where spans are wide enough to be told apart. */
  drawLabels(theme) {
    const c = this.context, widest = (this.t1 - this.t0) / this.plotWidth;
    c.textAlign = "left";
    c.textBaseline = "middle";
    c.font = SMALL;
    for (const row of this.rows) {
      const { spans } = row;
      if (!spans || row.type === "count" || row.height < 5) continue;
      const last = firstFrom(spans, this.t1), overlaps = row.covers[0].overlaps;
      let i = Math.max(0, firstFrom(spans, this.t0) - 1);
      while (overlaps && i > 0 && last - i < 3000) i--;
      if (last - i > 3000) continue;
      this.drawBars(row, i, last, widest, theme);
    }
  }

  /* Pieces of one step that interruptions too short to be seen part from each other are one bar with one name. */
  drawBars(row, from, last, widest, theme) {
    const { spans } = row, overlaps = row.covers[0].overlaps;
    let bar = null;
    const close = () => { if (bar && bar.end - bar.start >= 3 * widest) this.drawBar(row, bar, theme); };
    for (let i = from; i < last; i++) {
      if (spans.E[i] <= this.t0 || (overlaps && spans.K[i] !== WORK)) continue;
      const start = spans.S[i], end = spans.E[i];
      const isSame = bar && spans.T[i] === spans.T[bar.i] && spans.K[i] === spans.K[bar.i] && spans.L[i] === spans.L[bar.i];
      if (isSame && start - bar.end < 2 * widest) {
        bar.end = Math.max(bar.end, end);
        bar.isPieced = true;
      } else if (!bar || end - start >= 3 * widest || start - bar.end >= 2 * widest) {
        close();
        bar = { i, start, end, isPieced: false };
      }
    }
    close();
  }

  drawBar(row, { i, start, end, isPieced }, theme) {
    const c = this.context, { spans } = row;
    const left = Math.max(this.x(start), this.left), right = Math.min(this.x(end), this.left + this.plotWidth);
    if (start > this.t0) {
      c.fillStyle = theme.background;
      c.fillRect(Math.round(left), row.y, 1, row.height);
    }
    if (row.height < 14 || right - left < 26) return;
    const whole = this.labelOf(row, i, right - left - 10), text = this.shortened(whole, right - left - 10);
    // A name cut to its first letters says nothing, and a number cut short says something wrong.
    if (text !== whole && text.length < 8) return;
    const width = this.widthOf(text), kind = spans.K[i];
    const x = left + (right - left - width) / 2;
    if (kind !== WORK || isPieced) {
      // A plate under the words, so that neither hatching nor interruptions run through them.
      c.fillStyle = theme.colours[kind];
      c.fillRect(x - 3, row.y + row.height / 2 - 7, width + 6, 14);
    }
    c.fillStyle = theme.on[kind];
    c.fillText(text, x, row.y + row.height / 2 + 0.5);
  }

  labelOf(row, i, room) {
    const { line } = this, task = line.taskName(row.spans.T[i]);
    const label = row.spans.K[i] === HELD ? "held off" : line.labels[row.spans.L[i]];
    if (!label || label === task) return task;
    if (row.type === "task" && row.name) return label;
    const both = `${task}: ${label}`;
    return this.widthOf(both) <= room ? both : task;
  }

  widthOf(text) {
    let width = this.textWidths.get(text);
    if (width === undefined) {
      if (this.textWidths.size > 20000) this.textWidths.clear();
      width = this.context.measureText(text).width;
      this.textWidths.set(text, width);
    }
    return width;
  }

  shortened(text, room) {
    if (text.length > 400) text = text.slice(0, 400) + "…";
    const measure = (each) => this.context.measureText(each).width;
    if (measure(text) <= room) return text;
    let low = 0, high = text.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (measure(text.slice(0, middle) + "…") <= room) low = middle; else high = middle - 1;
    }
    return low ? text.slice(0, low) + "…" : "";
  }

  /* Cut in the middle, since names that begin alike ("process 1, thread 3") are told apart by their ends. */
  withEnds(text, room) {
    if (this.context.measureText(text).width <= room) return text;
    const first = Math.min(6, text.length >> 2);
    for (let from = first + 1; from < text.length; from++) {
      const shorter = `${text.slice(0, first)}…${text.slice(from)}`;
      if (this.context.measureText(shorter).width <= room) return shorter;
    }
    return "";
  }

  /* The mean red, green and blue of what was really painted in a row. */
  meanColour(row) {
    const from = Math.round(row.y * this.ratio), height = Math.max(1, Math.round(row.height * this.ratio));
    const { data } = this.context.getImageData(Math.round(this.left * this.ratio), from, this.columns, height);
    const sums = [0, 0, 0];
    for (let i = 0; i < data.length; i++) if (i % 4 < 3) sums[i % 4] += data[i];
    return sums.map((sum) => sum / (data.length / 4));
  }

  rowAt(y) { return this.rows.find((row) => y >= row.y && y < row.y + row.height + 2) ?? null; }
}

/* The kind that fills the whole of a column, or -1 for a mixture. */
function onlyKind(shares, x) {
  const work = shares[3 * x], wait = shares[3 * x + 1], held = shares[3 * x + 2], sum = work + wait + held;
  if (work > 0.9999) return WORK;
  if (wait > 0.9999) return WAIT;
  if (held > 0.9999) return HELD;
  return sum < 1e-4 && sum >= 0 && work < 1e-7 ? IDLE : -1;
}

/* One column, from its foot: work, held off, wait, idle, each as high as its share. */
function paintMixed(shares, x, pixels, columns, top, height, packed, isLine) {
  const work = shares[3 * x + WORK] * height, held = work + shares[3 * x + HELD] * height;
  const edges = [work, held, Math.min(height, held + shares[3 * x + WAIT] * height), height];
  let layer = 0;
  for (let up = 0; up < height; up++) {
    while (layer < 3 && edges[layer] <= up + 1e-4) layer++;
    const y = top + height - 1 - up, at = y * columns + x;
    if (edges[layer] < up + 0.9999) pixels[at] = blend(packed, ORDER, edges, up);
    else if (layer < 3 || !isLine[x]) pixels[at] = shade(packed, ORDER[layer], x, y);
  }
}

/* The colour of a kind at a pixel: waits are hatched and held-off time is dotted, so that colour isn't needed. */
function shade(packed, kind, x, y) {
  if (kind === WAIT) return (x + y) % 6 === 0 ? packed.waitLine : packed.kinds[WAIT];
  if (kind === HELD) return x % 4 < 2 && y % 4 < 2 ? packed.heldDot : packed.kinds[HELD];
  return packed.kinds[kind];
}

/* A pixel that lies across an edge takes its colours in proportion, so that a share below one pixel isn't lost. */
function blend(packed, order, edges, up) {
  let red = 0, green = 0, blue = 0, below = up;
  for (let layer = 0; layer < 4; layer++) {
    const part = Math.min(edges[layer], up + 1) - below;
    if (part <= 0) continue;
    const colour = packed.kinds[order[layer]];
    red += part * (colour & 255);
    green += part * ((colour >>> 8) & 255);
    blue += part * ((colour >>> 16) & 255);
    below += part;
  }
  return ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
}
