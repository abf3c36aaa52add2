/** Two sliders for the range of steps: what dragging across a curve does, for fingers and for the keyboard. */

import { element, write } from "./dom.js";
import { number, span } from "./format.js";
import { say } from "./texts.js";

/** The sliders and a button that shows everything again. */
export class Zoom {
  /** @param {function} chosen called with a range of steps, or null for all of them. */
  constructor(chosen) {
    this.chosen = chosen;
    this.title = element("legend");
    this.how = element("p", { class: "note" });
    this.whole = element("button", { type: "button", click: () => chosen(null) });
    this.sliders = ["zoom_from", "zoom_to"].map((name) => {
      const input = element("input", { type: "range", min: 0, step: 1, input: () => this.move() });
      const label = element("span");
      const where = element("output");
      return { name, input, label, where, place: element("label", { class: "slider" }, label, input, where) };
    });
    const places = this.sliders.map(({ place }) => place);
    this.place = element("fieldset", { class: "zoom" }, this.title, ...places, this.whole, this.how);
  }

  /** Show a range, or everything up to the last place on the axis. */
  show(range, last, axis) {
    this.last = Math.ceil(last);
    this.place.hidden = last === 0;
    write(this.title, say(axis === "time" ? "zoom_time" : "zoom"));
    write(this.how, say("zoom_how"));
    write(this.whole, say("whole"));
    this.whole.disabled = range === null;
    this.sliders.forEach(({ name, input, label, where }, index) => {
      write(label, say(axis === "time" ? `${name}_time` : name));
      input.max = this.last;
      input.value = (range ?? [0, this.last])[index];
      write(where, axis === "time" ? span(Number(input.value)) : number(Number(input.value)));
    });
  }

  move() {
    const [from, to] = this.sliders.map(({ input }) => Number(input.value));
    if (from < to) this.chosen(from === 0 && to === this.last ? null : [from, to]);
  }
}
