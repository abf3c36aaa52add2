/** Curves, one small chart for each number; all show the same range of the axis below and the same cursor. */

import { element, write } from "./dom.js";
import { number, short, span } from "./format.js";
import { say } from "./texts.js";
import { colours, pale } from "./theme.js";

const HEIGHT = 170;
const AXIS_FONT = '11px "Korean of this page", system-ui, sans-serif';
// Fewer points than this are drawn as dots, too: a validation curve of three points is no line yet.
const DOTS_BELOW = 60;
// What the mouse does in one chart that all of them follow; each has its own selection.
const SHARED = new Set(["mousemove", "mouseleave"]);
// Distances between the marks of an axis of seconds.
const SECONDS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800];
const MARK_RADIUS = 5;
/** Colour, dashes and sign of each run that is shown. */
export const STYLES = [
  { colour: "first", dash: [], sign: "━" },
  { colour: "second", dash: [6, 3], sign: "╍" },
  { colour: "third", dash: [2, 3], sign: "┉" },
  { colour: "fourth", dash: [10, 3, 2, 3], sign: "┅" },
  { colour: "fifth", dash: [14, 4], sign: "╌" },
  { colour: "sixth", dash: [4, 2, 1, 2], sign: "┄" },
];

/** Axes in the colours of the page; `below` are further settings of the axis below. */
export function axes(below = {}) {
  const common = {
    font: AXIS_FONT,
    stroke: () => colours.soft,
    grid: { stroke: () => colours.line, width: 1 },
    ticks: { stroke: () => colours.line, width: 1, size: 4 },
    values: (_, values) => values.map(short),
  };
  return [{ ...common, size: 28, space: 60, ...below }, { ...common, size: 54 }];
}

/** Where something stands on the axis below, in words. */
export function placeOf(axis, value) {
  return axis === "time" ? span(value) : say("step", { step: number(value) });
}

/** Charts that share a range of the axis below. */
export class Curves {
  /** @param {function} zoomed called after the range has changed. */
  constructor(zoomed) {
    this.place = element("div", { class: "charts" });
    this.zoomed = zoomed;
    this.range = null;
    this.last = 1;
    this.axis = "step";
    this.charts = new Map();
  }

  /**
   * Show numbers, each in a chart of its own.
   * @param {Map<string, {title: string, lines: {run: number, xs: number[], values: number[], pale: boolean}[],
   *   marks: {run: number, x: number, value: number}[], levels: {value: number, text: string}[]}>} numbers by key.
   * @param {number} last the last place of all charts on the page.
   * @param {string} axis what the axis below counts.
   */
  show(numbers, last, axis) {
    this.last = Math.max(last, 1);
    this.axis = axis;
    for (const [key, chart] of this.charts) {
      if (!numbers.has(key) || looks(numbers.get(key).lines, axis) !== chart.looks) {
        chart.remove();
        this.charts.delete(key);
      }
    }
    for (const [key, curve] of numbers) {
      if (!this.charts.has(key)) {
        this.charts.set(key, new Chart(this, curve.lines));
        this.place.append(this.charts.get(key).place);
      }
      this.charts.get(key).show(curve);
    }
  }

  /** Show a range, [first, last], or everything. */
  zoom(range) {
    this.range = range;
    for (const chart of this.charts.values()) chart.fit();
  }

  /** Draw again, in other colours or in another language. */
  redraw() {
    for (const chart of this.charts.values()) chart.plot.redraw(false);
  }
}

/** What a chart must be made anew for. */
function looks(lines, axis) {
  return axis + lines.map(({ run, pale: faint }) => `${run}${faint ? "-" : "+"}`).join("");
}

/** One number's curves. */
class Chart {
  constructor(group, lines) {
    this.group = group;
    this.looks = looks(lines, group.axis);
    this.faint = lines.map((line) => Boolean(line.pale));
    this.marks = [];
    this.levels = [];
    this.title = element("b");
    this.values = element("span", { class: "values" });
    this.notes = element("p", { class: "note levels" });
    this.canvas = element("div", { class: "canvas", role: "img" });
    const caption = element("figcaption", {}, this.title, " ", this.values, this.notes);
    this.place = element("figure", {}, caption, this.canvas);
    this.plot = new uPlot(this.options(lines), [[], ...lines.map(() => [])], this.canvas);
    this.size = new ResizeObserver(() => this.resize());
    this.size.observe(this.canvas);
  }

  options(lines) {
    const { axis } = this.group;
    const below = axis === "time" ? { incrs: SECONDS, values: (_, values) => values.map(span), space: 70 } : {};
    return {
      width: 300,
      height: HEIGHT,
      legend: { show: false },
      scales: {
        x: { time: false, auto: false, range: () => this.range() },
        y: { range: (_, low, high) => this.height(low, high) },
      },
      axes: axes(below),
      series: [{}, ...lines.map((line) => this.line(line))],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        sync: { key: "steps", scales: ["x", null], setSeries: false, filters: { pub: (type) => SHARED.has(type) } },
        bind: { dblclick: () => () => this.choose(null) },
      },
      hooks: { setSelect: [() => this.select()], setCursor: [() => this.describe()], draw: [() => this.mark()] },
    };
  }

  line({ run, pale: faint }) {
    const { colour, dash } = STYLES[run];
    const stroke = () => (faint ? pale(colours[colour]) : colours[colour]);
    const dots = (plot, series, first, last) => !faint && last - first < DOTS_BELOW;
    return { stroke, width: faint ? 1 : 1.5, dash: faint ? [] : dash, spanGaps: true,
      points: { show: dots, size: 5, fill: stroke } };
  }

  range() {
    return this.group.range ?? [0, this.group.last];
  }

  /** The range upwards: of the curves and of the levels across them. */
  height(low, high) {
    const values = [low, high, ...this.levels.map(({ value }) => value)].filter((value) => typeof value === "number");
    return values.length ? uPlot.rangeNum(Math.min(...values), Math.max(...values), 0.1, true) : [0, 1];
  }

  show({ title, lines, marks = [], levels = [] }) {
    write(this.title, title);
    Object.assign(this, { marks, levels });
    const best = marks.filter(({ run }) => run === 0).map(({ step }) => say("best_mark", { step: number(step) }));
    write(this.notes, [...levels.map(({ text }) => text), ...best].join("\n"));
    this.notes.hidden = levels.length === 0;
    const data = lines.map(({ xs, values }) => [xs, values]);
    this.plot.setData(data.length > 1 ? uPlot.join(data) : data[0], false);
    this.fit();
    this.describe();
  }

  fit() {
    const [min, max] = this.range();
    this.plot.setScale("x", { min, max });
  }

  /** Draw the levels as dashed lines across the chart, and a ring around the best weights. */
  mark() {
    const { ctx, bbox } = this.plot;
    const [first, last] = this.range();
    ctx.save();
    for (const { value, dash } of this.levels) {
      const y = this.plot.valToPos(value, "y", true);
      this.stroke(colours.soft, dash, () => {
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
      });
    }
    for (const { run, x, value } of this.marks.filter((mark) => first <= mark.x && mark.x <= last)) {
      const radius = MARK_RADIUS * devicePixelRatio;
      const [left, top] = [this.plot.valToPos(x, "x", true), this.plot.valToPos(value, "y", true)];
      this.stroke(colours[STYLES[run].colour], [], () => ctx.arc(left, top, radius, 0, 2 * Math.PI));
    }
    ctx.restore();
  }

  stroke(colour, dash, path) {
    const { ctx } = this.plot;
    ctx.beginPath();
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
    path();
    ctx.stroke();
  }

  select() {
    const { left, width } = this.plot.select;
    if (width < 4) return;
    const range = [left, left + width].map((place) => Math.round(this.plot.posToVal(place, "x")));
    this.plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (range[1] > range[0]) this.choose(range);
  }

  choose(range) {
    this.group.zoomed(range);
  }

  describe() {
    const [places, ...lines] = this.plot.data;
    const index = this.plot.cursor.idx ?? places.length - 1;
    const texts = lines.filter((_, line) => !this.faint[line]).map((values) => number(latest(values, index)));
    const place = places.length ? `, ${placeOf(this.group.axis, places[index])}` : "";
    write(this.values, texts.join(" / ") + place);
    this.canvas.setAttribute("aria-label", `${this.title.textContent}: ${texts.join(" / ")} ${this.notes.textContent}`);
  }

  resize() {
    const width = Math.floor(this.canvas.clientWidth);
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  remove() {
    this.size.disconnect();
    this.plot.destroy();
    this.place.remove();
  }
}

/** The value at a place, or the nearest one before it: of several runs each has places that the others lack. */
function latest(values, index) {
  return values.findLast((value, place) => place <= index && value !== null && value !== undefined);
}
