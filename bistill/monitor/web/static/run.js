/** One run: facts, curves, score histograms, events; beside another one where it is compared with it. */

import { Curves } from "./curves.js";
import { element, write } from "./dom.js";
import { flat, memory, moment, number, share } from "./format.js";
import { Failure } from "./failure.js";
import { Badge, progressOf, stageOf } from "./list.js";
import { Options } from "./options.js";
import { Scores } from "./scores.js";
import { figureCurves, lastPlace, machineCurves, termCurves } from "./series.js";
import { language, say } from "./texts.js";
import { Legend, Tools } from "./tools.js";
import { Zoom } from "./zoom.js";

// Events in a colour of their own.
const EVENT_COLOURS = { trouble: "bad", unlearned: "bad", evaluation: "first", saved: "good", give_up: "bad" };
const stepOf = (step) => say("step", { step: number(step) });
const FACTS = {
  best: (run) => (run.best.figures ? `${flat(run.best.figures)} (${stepOf(run.best.step)})` : ""),
  lr: (run) => (run.lr ? number(run.lr) : ""),
  tokens_per_second: (run) => (run.tokens_per_second ? number(Math.round(run.tokens_per_second)) : ""),
  seconds_per_step: (run) => (run.seconds_per_step ? number(run.seconds_per_step) : ""),
  resident_mib: (run) => (run.resident_mib ? memory(run.resident_mib) : ""),
  gpu_mib: (run) => (run.gpu_mib ? memory(run.gpu_mib) : ""),
  micro_batch_tokens: (run) => (run.micro_batch_tokens ? number(run.micro_batch_tokens) : ""),
  checkpoint_step: (run) => (run.checkpoint_step >= 0 ? stepOf(run.checkpoint_step) : ""),
  cache_hit_rate: (run) => (run.cache_hit_rate === null ? "" : share(run.cache_hit_rate)),
  started: (run) => moment(run.started),
  updated: (run) => moment(run.updated),
  pid: (run) => String(run.pid),
};

/** The view of the chosen run. */
export class Run {
  /**
   * @param {function} compared called with the id of a further run to compare with.
   * @param {function} removed called with the id of one to compare with no more.
   * @param {function} redrawn called after it is to be drawn in another way.
   */
  constructor(compared, removed, redrawn) {
    this.title = element("h2");
    this.badge = new Badge();
    this.report = element("a", { target: "_blank", rel: "noopener" });
    this.bar = element("progress", { max: 1 });
    this.progress = element("p");
    this.failure = new Failure();
    this.facts = element("dl", { class: "facts" });
    this.tools = new Tools(compared, (otherAxis) => {
      if (otherAxis) this.zoomTo(null);
      redrawn();
    });
    this.legend = new Legend(removed);
    this.zoom = new Zoom((range) => this.zoomTo(range));
    this.groups = ["losses", "validation", "machine"].map((name) => new Group(name, (range) => this.zoomTo(range)));
    this.scores = [new Scores()];
    this.histograms = element("div", { class: "pair" }, this.scores[0].place);
    this.scoresTitle = element("h3");
    this.options = new Options();
    this.events = new Events();
    this.range = null;
  }

  /** The elements, in their order on the page. */
  get parts() {
    const head = element("div", { class: "head" }, this.title, this.badge.place, this.report);
    const [losses, validation, machine] = this.groups.map((group) => group.place);
    const scores = element("section", {}, this.scoresTitle, this.histograms);
    return [head, this.bar, this.progress, this.failure.place, this.facts, this.tools.place, this.legend.place,
      this.options.place, this.zoom.place, losses, validation, scores, machine, this.events.place];
  }

  /** Show a run and those it is compared with, `{id, summary, details}` each; offer others, pairs of id and name. */
  show(shown, choices) {
    this.showHead(shown[0].summary);
    write(this.report, say("report"));
    this.report.href = `/report/${shown[0].id}`;
    this.report.hidden = !shown[0].summary.has_report;
    this.tools.show(choices, shown.length);
    this.legend.show(shown);
    this.options.show(shown);
    this.showCurves(shown);
    this.showScores(shown);
    this.events.show(shown[0].details.events);
  }

  showHead(summary) {
    write(this.title, summary.name);
    this.badge.show(summary);
    this.bar.value = summary.progress;
    this.bar.setAttribute("aria-label", summary.name);
    write(this.progress, [stageOf(summary), progressOf(summary)].filter(Boolean).join(" · "));
    this.failure.show(summary);
    const known = Object.entries(FACTS).map(([name, told]) => [name, told(summary)]).filter(([, text]) => text);
    const fact = ([name, text]) => [element("dt", { text: say(`fact_${name}`) }), element("dd", { text })];
    this.facts.replaceChildren(...known.map((pair) => element("div", {}, ...fact(pair))));
  }

  showCurves(shown) {
    const { axis, smoothing } = this.tools;
    const last = lastPlace(shown, axis);
    this.zoom.show(this.range, last, axis);
    const [losses, validation, machine] = this.groups;
    losses.show(termCurves(shown, axis, smoothing), last, axis);
    validation.show(figureCurves(shown, axis), last, axis);
    machine.show(machineCurves(shown, axis), last, axis);
  }

  showScores(shown) {
    write(this.scoresTitle, say("scores"));
    while (this.scores.length < shown.length) {
      this.scores.push(new Scores());
      this.histograms.append(this.scores.at(-1).place);
    }
    this.scores.forEach(({ place }, index) => {
      place.hidden = index >= shown.length;
    });
    shown.forEach(({ details, summary }, index) => {
      this.scores[index].show(details.evaluations, shown.length > 1 ? summary.name : "");
    });
  }

  zoomTo(range) {
    this.range = range;
    for (const group of this.groups) group.curves.zoom(range);
    this.zoom.show(range, this.groups[0].curves.last, this.tools.axis);
  }

  redraw() {
    for (const group of this.groups) group.curves.redraw();
    for (const scores of this.scores) scores.redraw();
  }
}

/** A heading and its curves; nothing where there are none. */
class Group {
  constructor(name, zoomed) {
    this.name = name;
    this.title = element("h3");
    this.curves = new Curves(zoomed);
    this.place = element("section", { id: name }, this.title, this.curves.place);
  }

  show(numbers, last, axis) {
    write(this.title, say(this.name));
    this.place.hidden = numbers.size === 0;
    this.curves.show(numbers, last, axis);
  }
}

/** The list of events, the newest first. */
class Events {
  constructor() {
    this.title = element("h3");
    this.places = element("ol", { class: "events" });
    this.place = element("section", { id: "events" }, this.title, this.places);
    this.shown = null;
  }

  show(events) {
    write(this.title, say("events"));
    const rows = events.map((event) => [moment(event.time), event.said[language()], colourOf(event)]).reverse();
    if (JSON.stringify(rows) === this.shown) return; // what the reader marks or has scrolled to stays
    this.shown = JSON.stringify(rows);
    this.places.replaceChildren(...rows.map(([time, said, colour]) => {
      const text = element("span", { class: colour && `colour-${colour}`, text: said });
      return element("li", {}, element("time", { text: time }), " ", text);
    }));
  }
}

function colourOf(event) {
  return event.event === "end" && event.status === "failed" ? "bad" : (EVENT_COLOURS[event.event] ?? "");
}
