/** Curves over steps, one small chart for each number; all show the same range of steps and the same cursor. */

import { element, write } from "./dom.js";
import { number, short } from "./format.js";
import { say } from "./texts.js";
import { colours } from "./theme.js";

const HEIGHT = 170;
const AXIS_FONT = "11px system-ui, sans-serif";
// Fewer points than this are drawn as dots, too: a validation curve of three points is no line yet.
const DOTS_BELOW = 60;
// What the mouse does in one chart that all of them follow; each has its own selection.
const SHARED = new Set(["mousemove", "mouseleave"]);

/** Axes in the colours of the page; `above` are further settings of the axis below. */
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

/** Charts that share a range of steps. */
export class Curves {
  /** @param {function} zoomed called after the range has changed. */
  constructor(zoomed) {
    this.place = element("div", { class: "charts" });
    this.zoomed = zoomed;
    this.range = null;
    this.last = 1;
    this.charts = new Map();
  }

  /**
   * Show numbers, each in a chart of its own.
   * @param {Map<string, {title: string, lines: {steps: number[], values: number[]}[]}>} numbers by key; the lines are
   *   those of the run and of the one it is compared with.
   * @param {number} last the highest step of all charts on the page.
   */
  show(numbers, last) {
    this.last = Math.max(last, 1);
    for (const [key, chart] of this.charts) {
      if (!numbers.has(key) || numbers.get(key).lines.length !== chart.lines) {
        chart.remove();
        this.charts.delete(key);
      }
    }
    for (const [key, { title, lines }] of numbers) {
      if (!this.charts.has(key)) {
        this.charts.set(key, new Chart(this, lines.length));
        this.place.append(this.charts.get(key).place);
      }
      this.charts.get(key).show(title, lines);
    }
  }

  /** Show the steps of a range, [first, last], or all of them. */
  zoom(range) {
    this.range = range;
    for (const chart of this.charts.values()) chart.fit();
  }

  /** Draw again, in other colours or in another language. */
  redraw() {
    for (const chart of this.charts.values()) chart.plot.redraw(false);
  }
}

/** One number's curve, and that of the run it is compared with. */
class Chart {
  constructor(group, lines) {
    this.group = group;
    this.lines = lines;
    this.title = element("b");
    this.values = element("span", { class: "values" });
    this.canvas = element("div", { class: "canvas", role: "img" });
    this.place = element("figure", {}, element("figcaption", {}, this.title, " ", this.values), this.canvas);
    this.plot = new uPlot(this.options(), [[], ...Array(lines).fill([])], this.canvas);
    this.size = new ResizeObserver(() => this.resize());
    this.size.observe(this.canvas);
  }

  options() {
    return {
      width: 300,
      height: HEIGHT,
      legend: { show: false },
      scales: { x: { time: false, auto: false, range: () => this.range() } },
      axes: axes(),
      series: [{}, ...["first", "second"].slice(0, this.lines).map((name, index) => this.line(name, index))],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        sync: { key: "steps", scales: ["x", null], setSeries: false, filters: { pub: (type) => SHARED.has(type) } },
        bind: { dblclick: () => () => this.choose(null) },
      },
      hooks: { setSelect: [() => this.select()], setCursor: [() => this.describe()] },
    };
  }

  line(name, index) {
    return {
      stroke: () => colours[name],
      width: 1.5,
      dash: index ? [6, 3] : [],
      spanGaps: true,
      points: { show: (plot, series, first, last) => last - first < DOTS_BELOW, size: 5, fill: () => colours[name] },
    };
  }

  range() {
    return this.group.range ?? [0, this.group.last];
  }

  show(title, lines) {
    write(this.title, title);
    const data = lines.map(({ steps, values }) => [steps, values]);
    this.plot.setData(data.length > 1 ? uPlot.join(data) : data[0], false);
    this.fit();
    this.describe();
  }

  fit() {
    const [min, max] = this.range();
    this.plot.setScale("x", { min, max });
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
    const [steps, ...lines] = this.plot.data;
    const index = this.plot.cursor.idx ?? steps.length - 1;
    const texts = lines.map((values) => number(latest(values, index)));
    const step = steps.length ? `, ${say("step", { step: number(steps[index]) })}` : "";
    write(this.values, texts.join(" / ") + step);
    this.canvas.setAttribute("aria-label", `${this.title.textContent}: ${texts.join(" / ")}`);
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

/** The value at a place, or the nearest one before it: of two runs each has steps that the other lacks. */
function latest(values, index) {
  return values.findLast((value, place) => place <= index && value !== null && value !== undefined);
}
