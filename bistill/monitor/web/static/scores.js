/** Histograms of scores at each validation, and a slider that goes through the training. */

import { axes } from "./curves.js";
import { element, write } from "./dom.js";
import { number, share } from "./format.js";
import { say, sayOr } from "./texts.js";
import { colours, pale } from "./theme.js";

const HEIGHT = 220;
const KINDS = { positive: "good", labelled_negative: "second", mined_negative: "first", random_negative: "soft" };
const DASHES = { positive: [], labelled_negative: [6, 3], mined_negative: [8, 2, 2, 2], random_negative: [2, 3] };

/** The section of score histograms of a run. */
export class Scores {
  constructor() {
    this.slider = element("input", { type: "range", min: 0, step: 1, input: () => this.move() });
    this.label = element("span");
    this.where = element("output");
    this.margins = element("p", { class: "note" });
    this.legend = element("p", { class: "legend" });
    this.what = element("p", { class: "note" });
    this.canvas = element("div", { class: "canvas", role: "img" });
    this.controls = element("label", { class: "slider" }, this.label, this.slider, this.where);
    this.drawing = element("figure", {}, this.what, this.legend, this.canvas, this.margins);
    this.none = element("p", { class: "note" });
    this.place = element("div", { class: "scores" }, this.none, this.controls, this.drawing);
    this.evaluations = [];
    this.follows = true;
    this.plot = null;
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  /**
   * Show the validations of a run. The slider stays at the newest one until it is moved away.
   * @param {object[]} evaluations journal records.
   * @param {string} name of the run, "" where there is only one.
   */
  show(evaluations, name) {
    this.evaluations = evaluations.filter((record) => kindsOf(record).length > 0);
    const none = this.evaluations.length === 0;
    this.controls.hidden = this.drawing.hidden = none;
    this.none.hidden = !none;
    write(this.none, say("scores_none"));
    write(this.label, say("evaluation"));
    write(this.what, [name, say("scores_what")].filter(Boolean).join(": "));
    this.slider.max = Math.max(this.evaluations.length - 1, 0);
    if (this.follows) this.slider.value = this.slider.max;
    if (!none) this.draw();
  }

  move() {
    this.follows = this.slider.value === this.slider.max;
    this.draw();
  }

  draw() {
    const record = this.evaluations[Number(this.slider.value)];
    const kinds = kindsOf(record);
    this.rebuild(kinds);
    const bins = Math.max(...kinds.map((kind) => record.histograms[kind].length));
    const edges = Array.from({ length: bins + 1 }, (_, index) => index / bins);
    this.plot.setData([edges, ...kinds.map((kind) => shares(record.histograms[kind]))]);
    this.describe(record, kinds);
  }

  describe(record, kinds) {
    const values = { step: number(record.step), number: Number(this.slider.value) + 1, all: this.evaluations.length };
    write(this.where, say("evaluation_of", values));
    this.slider.setAttribute("aria-valuetext", this.where.textContent);
    const margins = Object.entries(record.figures ?? {}).filter(([name]) => name.includes("margin"));
    write(this.margins, margins.map(([name, value]) => `${name} ${number(value)}`).join(", "));
    this.canvas.setAttribute("aria-label", `${say("scores")}: ${this.where.textContent}, ${this.margins.textContent}`);
    const swatch = (kind) => element("span", { class: `swatch colour-${KINDS[kind]}`, text: "■" });
    this.legend.replaceChildren(...kinds.map((kind) => element("span", {}, swatch(kind), ` ${sayOr(kind, kind)}`)));
  }

  rebuild(kinds) {
    if (this.plot && this.kinds === kinds.join()) return;
    this.plot?.destroy();
    this.kinds = kinds.join();
    const series = kinds.map((kind) => ({
      stroke: () => colours[KINDS[kind]],
      fill: () => pale(colours[KINDS[kind]]),
      width: 1.5,
      dash: DASHES[kind],
      paths: uPlot.paths.stepped({ align: 1 }),
      points: { show: false },
    }));
    const [below, left] = axes();
    const options = {
      width: Math.max(this.canvas.clientWidth, 240),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: [0, 1] }, y: { range: (_, low, high) => [0, Math.max(high, 0.01) * 1.05] } },
      axes: [below, { ...left, values: (_, values) => values.map(share) }],
      series: [{}, ...series],
    };
    this.plot = new uPlot(options, [[], ...kinds.map(() => [])], this.canvas);
  }

  redraw() {
    this.plot?.redraw(false);
  }

  resize() {
    const width = Math.floor(this.canvas.clientWidth);
    if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }
}

/** The histograms that a record of a validation has; other programs' journals may hold anything in their place. */
function kindsOf({ histograms }) {
  return Object.keys(KINDS).filter((kind) => Array.isArray(histograms?.[kind]) && histograms[kind].length > 0);
}

/** Counts as shares of their sum; the last edge repeats the last bin, so that a stepped line ends it. */
function shares(counts) {
  const numbers = counts.map((count) => (typeof count === "number" ? count : 0));
  const sum = numbers.reduce((before, count) => before + count, 0) || 1;
  const found = numbers.map((count) => count / sum);
  return [...found, found.at(-1)];
}
