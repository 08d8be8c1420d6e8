// A number over time, drawn by uPlot, with what it shows said in words.

import { el, figure, moment, plural } from "./dom.js";

// Moments along the axis, so many seconds apart: each with its time of day, and the date where that changes.
function labels(splits, apart) {
  let before = "";
  return splits.map((seconds) => {
    const [date, time] = new Date(seconds * 1000).toISOString().slice(0, 19).split("T");
    const changed = date !== before;
    before = date;
    if (apart >= 86400) return date;
    const clock = apart < 60 ? time : time.slice(0, 5);
    return changed ? `${clock}\n${date}` : clock;
  });
}

export class Chart {
  constructor(figureElement) {
    this.box = figureElement;
    this.said = el("figcaption", { class: "faint" });
    this.canvas = el("div", { role: "img" });
    this.box.append(this.canvas, this.said);
    this.plot = null;
    this.sizes = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.sizes.observe(this.box);
    this.redraw = () => { if (this.name) this.show(this.name, this.points); };
    addEventListener("theme", this.redraw);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", this.redraw);
  }

  close() {
    this.sizes.disconnect();
    removeEventListener("theme", this.redraw);
    this.dark.removeEventListener("change", this.redraw);
    this.plot?.destroy();
  }

  size() {
    return { width: Math.max(this.box.clientWidth, 200), height: 220 };
  }

  show(name, points) {
    this.name = name;
    this.points = points;
    const values = points.map((each) => each[1]);
    const least = Math.min(...values), most = Math.max(...values);
    const told = `${plural(values.length, "point")}, from ${figure(least)} to ${figure(most)}, the last ${figure(values.at(-1))}`;
    this.said.textContent = told;
    this.canvas.setAttribute("aria-label", `${name}: ${told}`);
    this.box.dataset.points = String(values.length);
    this.plot?.destroy();
    this.plot = new window.uPlot(this.options(name, values.length), [points.map((each) => each[0]), values], this.canvas);
  }

  options(name, count) {
    const ink = this.resolved("--faint"), grid = this.resolved("--line"), line = this.resolved("--accent");
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { points: { size: 8 }, drag: { x: true, y: false } },
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      axes: [{ ...axis, space: 90, size: (_, shown) => (shown?.some((each) => each.includes("\n")) ? 48 : 30), values: (_, splits, __, ___, apart) => labels(splits, apart) }, { ...axis, size: 56 }],
      series: [{}, { label: name, stroke: line, width: 1.5, fill: this.resolved("--accent-soft"), points: { show: count < 120, size: 5, fill: line } }],
      hooks: { setCursor: [(plot) => this.point(plot)] },
    };
  }

  // What is under the pointer, in the line below.
  point(plot) {
    const at = plot.cursor.idx;
    if (at === null || at === undefined) { this.canvas.title = ""; return; }
    const [seconds, value] = [plot.data[0][at], plot.data[1][at]];
    this.canvas.title = `${moment(new Date(seconds * 1000).toISOString())} UTC: ${figure(value)}`;
  }

  // A colour as a canvas takes it: light-dark() is for style sheets alone.
  resolved(name) {
    this.box.style.color = `var(${name})`;
    const found = getComputedStyle(this.box).color;
    this.box.style.color = "";
    return found;
  }
}
