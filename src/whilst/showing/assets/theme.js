"use strict";
/* Colours come from the style sheet, so that light and dark live in one place. */

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const pack = (name) => {
    const value = parseInt(colour(name).slice(1), 16);
    return ((255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >>> 16)) >>> 0;
  };
  return {
    background: colour("background"), text: colour("text"), muted: colour("muted"), grid: colour("grid"),
    line: colour("line"), cores: colour("cores"), concurrency: colour("concurrency"), parallelism: colour("work"),
    parallelismText: colour("work-text"),
    colours: [colour("work"), colour("wait"), colour("held")],
    on: [colour("on-work"), colour("on-wait"), colour("on-held")],
    packed: {
      background: pack("background"), grid: pack("grid"), kinds: [pack("work"), pack("wait"), pack("held"), pack("idle")],
      waitLine: pack("wait-line"), heldDot: pack("held-dot"),
    },
  };
}
