/** How the curves are drawn: with which other runs, over which axis, how smooth. */

import { STYLES } from "./curves.js";
import { element, offer, write } from "./dom.js";
import { share } from "./format.js";
import { AXES } from "./series.js";
import { say } from "./texts.js";

const MOST_SMOOTHING = 0.98;

/** Choices above the curves. */
export class Tools {
  /**
   * @param {function} add called with the id of a further run to compare with.
   * @param {function} redraw called after the axis or the smoothing has changed.
   */
  constructor(add, redraw) {
    this.add = add;
    this.axis = "step";
    this.smoothing = 0;
    this.choice = element("select", { id: "compare", change: () => this.choice.value && add(this.choice.value) });
    this.axes = element("select", { id: "axis", change: () => this.take(redraw) });
    this.slider = element("input", {
      id: "smoothing", type: "range", min: 0, max: MOST_SMOOTHING, step: 0.02, value: 0, input: () => this.take(redraw),
    });
    this.where = element("output");
    this.labels = ["compare", "axis", "smoothing"].map((name) => [name, element("span")]);
    const [compare, axis, smoothing] = this.labels.map(([, label]) => label);
    this.comparing = element("label", {}, compare, " ", this.choice);
    this.place = element("div", { class: "tools" }, this.comparing, element("label", {}, axis, " ", this.axes),
      element("label", {}, smoothing, " ", this.slider, " ", this.where));
  }

  /** Offer these runs, pairs of id and name, beside so many that are shown. */
  show(choices, shown) {
    for (const [name, label] of this.labels) write(label, say(name));
    offer(this.choice, [["", say("add_run")], ...choices], "");
    this.comparing.hidden = choices.length === 0 || shown >= STYLES.length;
    offer(this.axes, AXES.map((name) => [name, say(`axis_${name}`)]), this.axis);
    write(this.where, share(this.smoothing));
  }

  take(redraw) {
    const before = this.axis;
    this.axis = this.axes.value;
    this.smoothing = Number(this.slider.value);
    redraw(this.axis !== before);
  }
}

/** Names of the runs that are shown, in the look of their curves; each but the first can be taken away. */
export class Legend {
  /** @param {function} remove called with the id of a run. */
  constructor(remove) {
    this.remove = remove;
    this.place = element("p", { class: "legend" });
  }

  show(runs) {
    this.place.hidden = runs.length < 2;
    const names = JSON.stringify([say("remove"), runs.map(({ id, summary }) => [id, summary.name])]);
    if (names === this.names) return; // the keyboard keeps its place
    this.names = names;
    this.place.replaceChildren(...runs.map((run, index) => this.entry(run, index)));
  }

  entry({ id, summary }, index) {
    const { colour, sign } = STYLES[index];
    const swatch = element("span", { class: `swatch colour-${colour}`, text: sign });
    const label = `${say("remove")}: ${summary.name}`;
    const away = element("button", { type: "button", text: "×", "aria-label": label, click: () => this.remove(id) });
    return element("span", {}, swatch, ` ${summary.name} `, ...(index ? [away] : []));
  }
}
