"use strict";
/* The stretch of time that all timelines show, in one unit, and how it is written. */

class Scale {
  constructor(lines) {
    const units = new Set(lines.map((line) => line.unit));
    this.isShared = units.size === 1;
    this.unit = this.isShared ? [...units][0] : "s";
  }

  secondsPerUnit(line) { return this.isShared ? line.unitS : 1; }

  /* The unit in which values up to `most` are written, and how many of it make one of the axis's. */
  written(most) {
    if (this.unit !== "s" || most >= 1 || most <= 0) return [1, this.unit];
    return most < 1e-6 ? [1e9, "ns"] : most < 1e-3 ? [1e6, "µs"] : [1e3, "ms"];
  }

  /* An instant; `step` says how finely, `most` in which unit. */
  format(value, step, most = Math.abs(value)) {
    const [factor, unit] = this.written(most);
    const decimals = Math.min(9, Math.max(0, -Math.floor(Math.log10(step * factor) + 1e-9)));
    const rounded = Number((value * factor).toFixed(decimals));
    return `${rounded.toLocaleString("en", Number.isInteger(rounded) ? {} : { minimumFractionDigits: decimals })} ${rounded === 1 && unit === "steps" ? "step" : unit}`;
  }

  length(value) {
    const [factor, unit] = this.written(Math.abs(value));
    const scaled = value * factor, rounded = scaled >= 100 ? Math.round(scaled) : Number(scaled.toPrecision(3));
    return `${rounded.toLocaleString("en", { maximumFractionDigits: 20 })} ${rounded === 1 && unit === "steps" ? "step" : unit}`;
  }
}

class View {
  constructor(end, scale) {
    this.end = end || 1;
    this.scale = scale;
    this.gutter = 150;
    this.showsTasks = true;
    this.showsPath = true;
    this.showsAllRows = false;
    this.reset();
  }

  reset() { this.t0 = 0; this.t1 = this.end * 1.0; }

  get isWhole() { return this.t0 <= 0 && this.t1 >= this.end; }

  show(t0, t1) {
    const least = this.end / 2 ** 24;
    let length = Math.min(this.end, Math.max(least, t1 - t0));
    if (!(length > 0)) return;
    const middle = (t0 + t1) / 2;
    this.t0 = Math.max(0, Math.min(this.end - length, t1 - t0 === length ? t0 : middle - length / 2));
    this.t1 = Math.min(this.end, this.t0 + length);
  }

  pan(share) {
    const by = share * (this.t1 - this.t0);
    const allowed = Math.max(-this.t0, Math.min(this.end - this.t1, by));
    this.t0 += allowed;
    this.t1 += allowed;
  }

  /* Shorten the shown stretch by a factor; what is at `anchor` (0 left … 1 right) stays where it is. */
  zoom(factor, anchor = 0.5) {
    const at = this.t0 + anchor * (this.t1 - this.t0);
    const length = Math.min(this.end, Math.max(this.end / 2 ** 24, (this.t1 - this.t0) / factor));
    this.t0 = Math.max(0, Math.min(this.end - length, at - anchor * length));
    this.t1 = this.t0 + length;
  }

  ticks(width) {
    const rough = ((this.t1 - this.t0) * 90) / width, power = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
    if (this.scale.unit === "steps") step = Math.max(1, step); // nothing happens between two of them
    return { step, format: (value) => this.scale.format(value, step, this.t1) };
  }
}
