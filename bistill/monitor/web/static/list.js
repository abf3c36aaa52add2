/** The list of runs: one button each, with its state in words, progress and remaining time. */

import { element, write } from "./dom.js";
import { briefly, failureOf } from "./failure.js";
import { duration, flat, number, share } from "./format.js";
import { say, sayOr } from "./texts.js";

// States with an end that somebody should look at, and those in which work goes on.
const BAD = new Set(["stalled", "diverged", "crashed", "failed"]);
const LIVE = new Set(["starting", "running", "saving", "evaluating", "recovering", "lacks_memory"]);
// From so many runs on they can be filtered.
const FILTER_FROM = 6;

/** The state of a run in words of the page's language. */
export function stateOf(summary) {
  return sayOr(`state_${summary.state}`, summary.state);
}

/** What a run does in words of the page's language. */
export function stageOf(summary) {
  return sayOr(`stage_${summary.stage}`, summary.stage);
}

/** Step, remaining time, and how much of a long journal was read so far. */
export function progressOf(summary) {
  const parts = [];
  if (summary.total_steps) {
    parts.push(say("step_of", { step: number(summary.step), total: number(summary.total_steps) }));
  }
  if (LIVE.has(summary.state) && summary.seconds_left > 0) {
    parts.push(say("left", { time: duration(summary.seconds_left) }));
  }
  if (summary.reading < 1) parts.push(say("reading", { share: share(summary.reading) }));
  return parts.join(", ");
}

/** A word for the state, in its colour. */
export class Badge {
  constructor() {
    this.place = element("span");
  }

  show(summary) {
    const kind = BAD.has(summary.state) ? "bad" : LIVE.has(summary.state) ? "good" : "soft";
    this.place.className = `badge colour-${kind}`;
    write(this.place, stateOf(summary));
  }
}

/** The list. */
export class List {
  /**
   * @param {function} chosen called with the id of a run that was chosen.
   * @param {function} filtered called after other runs are to be listed.
   */
  constructor(chosen, filtered) {
    this.chosen = chosen;
    this.title = element("h2");
    this.filter = element("input", { id: "filter", type: "search", input: filtered });
    this.none = element("p", { class: "note" });
    this.places = element("ul");
    this.entries = new Map();
  }

  /** The elements, in their order on the page. */
  get parts() {
    return [this.title, this.filter, this.none, this.places];
  }

  /** Of the runs those that the filter lets through: each of its words stands in name, stage or state. */
  wanted(order, runs) {
    this.filter.hidden = order.length < FILTER_FROM;
    const asked = this.filter.hidden ? [] : this.filter.value.toLowerCase().split(/\s+/);
    const said = (id) => [runs.get(id).name, stageOf(runs.get(id)), stateOf(runs.get(id))].join(" ").toLowerCase();
    return order.filter((id) => asked.every((word) => said(id).includes(word)));
  }

  /** Show the runs in an order; entries that stay are not made anew, so that the keyboard keeps its place. */
  show(all, runs, selected) {
    const order = this.wanted(all, runs);
    write(this.title, say("runs"));
    this.filter.placeholder = say("filter");
    this.filter.setAttribute("aria-label", say("filter"));
    const count = { count: number(order.length), all: number(all.length) };
    write(this.none, all.length ? (order.length < all.length ? say("filtered", count) : "") : say("no_runs"));
    for (const id of [...this.entries.keys()].filter((known) => !order.includes(known))) {
      this.entries.get(id).place.remove();
      this.entries.delete(id);
    }
    order.forEach((id, index) => {
      if (!this.entries.has(id)) this.entries.set(id, new Entry(() => this.chosen(id)));
      const { place } = this.entries.get(id);
      if (this.places.children[index] !== place) this.places.insertBefore(place, this.places.children[index] ?? null);
      this.entries.get(id).show(runs.get(id), id === selected);
    });
  }
}

class Entry {
  constructor(chosen) {
    this.name = element("b");
    this.badge = new Badge();
    this.bar = element("progress", { max: 1 });
    this.progress = element("span", { class: "note" });
    this.terms = element("span", { class: "note brief" });
    const lines = [this.name, this.badge.place, this.bar, this.progress, this.terms];
    this.button = element("button", { type: "button", click: chosen }, ...lines);
    this.place = element("li", {}, this.button);
  }

  show(summary, selected) {
    write(this.name, summary.name);
    this.badge.show(summary);
    this.bar.value = summary.progress;
    this.bar.setAttribute("aria-label", summary.name);
    write(this.progress, [stageOf(summary), progressOf(summary)].filter(Boolean).join(" · "));
    const failure = failureOf(summary);
    const { loss } = summary.terms;
    write(this.terms, failure ? briefly(failure) : loss === undefined ? flat(summary.terms) : `loss ${number(loss)}`);
    this.button.setAttribute("aria-current", selected);
  }
}
