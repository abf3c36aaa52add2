/** One run: facts, curves, score histograms, events; beside another one where it is compared with it. */

import { Curves } from "./curves.js";
import { element, offer, write } from "./dom.js";
import { flat, memory, moment, number, share } from "./format.js";
import { Failure } from "./failure.js";
import { Badge, progressOf, stageOf } from "./list.js";
import { Scores } from "./scores.js";
import { language, say } from "./texts.js";
import { Zoom } from "./zoom.js";

const MACHINE = ["lr", "tokens_per_second", "memory_mib", "grad_norm"];
// How the curves of the run and of the one it is compared with look.
const LINES = [["first", "━"], ["second", "╍"]];
// Events in a colour of their own.
const EVENT_COLOURS = { trouble: "bad", evaluation: "first", saved: "good", give_up: "bad" };
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
  /** @param {function} compared called with the id of the run to compare with, or "". */
  constructor(compared) {
    this.title = element("h2");
    this.badge = new Badge();
    this.bar = element("progress", { max: 1 });
    this.progress = element("p");
    this.failure = new Failure();
    this.facts = element("dl", { class: "facts" });
    this.choice = element("select", { id: "compare", change: () => compared(this.choice.value) });
    this.choiceLabel = element("span");
    this.legend = element("p", { class: "legend" });
    this.zoom = new Zoom((range) => this.zoomTo(range));
    this.groups = ["losses", "validation", "machine"].map((name) => new Group(name, (range) => this.zoomTo(range)));
    this.scores = [new Scores(), new Scores()];
    this.scoresTitle = element("h3");
    this.options = element("section");
    this.events = new Events();
    this.range = null;
  }

  /** The elements, in their order on the page. */
  get parts() {
    const head = element("div", { class: "head" }, this.title, this.badge.place);
    const choice = element("label", { class: "choice" }, this.choiceLabel, " ", this.choice);
    const [losses, validation, machine] = this.groups.map((group) => group.place);
    const histograms = element("div", { class: "pair" }, ...this.scores.map((scores) => scores.place));
    const scores = element("section", {}, this.scoresTitle, histograms);
    return [head, this.bar, this.progress, this.failure.place, this.facts, choice, this.legend, this.options, this.zoom.place,
      losses, validation, scores, machine, this.events.place];
  }

  /** Show a run, and perhaps another: `{summary, details}` each. */
  show(run, other, choices) {
    const shown = other ? [run, other] : [run];
    this.showHead(run.summary);
    write(this.choiceLabel, say("compare"));
    offer(this.choice, [["", say("nothing")], ...choices], other?.id ?? "");
    this.choice.parentElement.hidden = choices.length === 0;
    this.legend.hidden = this.options.hidden = !other;
    this.legend.replaceChildren(...shown.map(({ summary }, index) => labelled(summary.name, LINES[index])));
    if (other) this.options.replaceChildren(...differences(run, other));
    this.showCurves(shown);
    this.showScores(shown);
    this.events.show(run.details.events);
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
    const ends = ({ details }) => [details.steps.step.at(-1) ?? 0, details.evaluations.at(-1)?.step ?? 0];
    const last = Math.max(...shown.flatMap(ends));
    this.zoom.show(this.range, last);
    const [losses, validation, machine] = this.groups;
    losses.show(termCurves(shown), last);
    validation.show(figureCurves(shown), last);
    machine.show(machineCurves(shown), last);
  }

  showScores(shown) {
    write(this.scoresTitle, say("scores"));
    this.scores[1].place.hidden = shown.length < 2;
    shown.forEach(({ details, summary }, index) => {
      this.scores[index].show(details.evaluations, shown.length > 1 ? summary.name : "");
    });
  }

  zoomTo(range) {
    this.range = range;
    for (const group of this.groups) group.curves.zoom(range);
    this.zoom.show(range, this.groups[0].curves.last);
  }

  redraw() {
    for (const group of this.groups) group.curves.redraw();
    for (const scores of this.scores) scores.redraw();
  }
}

function labelled(name, [colour, sign]) {
  return element("span", {}, element("span", { class: `swatch colour-${colour}`, text: sign }), ` ${name}`);
}

/** A heading and its curves; nothing where there are none. */
class Group {
  constructor(name, zoomed) {
    this.name = name;
    this.title = element("h3");
    this.curves = new Curves(zoomed);
    this.place = element("section", { id: name }, this.title, this.curves.place);
  }

  show(numbers, last) {
    write(this.title, say(this.name));
    this.place.hidden = numbers.size === 0;
    this.curves.show(numbers, last);
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

function termCurves(shown) {
  const names = new Set(shown.flatMap(({ details }) => Object.keys(details.steps.terms)));
  const none = (steps) => steps.step.map(() => null);
  const line = (name) => ({ details: { steps } }) => ({ steps: steps.step, values: steps.terms[name] ?? none(steps) });
  return new Map([...names].map((name) => [name, { title: name, lines: shown.map(line(name)) }]));
}

function machineCurves(shown) {
  const names = MACHINE.filter((name) => shown.some(({ details }) => details.steps[name].some(Boolean)));
  const line = (name) => ({ details: { steps } }) => ({ steps: steps.step, values: steps[name] });
  return new Map(names.map((name) => [name, { title: say(name), lines: shown.map(line(name)) }]));
}

function figureCurves(shown) {
  const named = ({ details }) => details.evaluations.flatMap(({ figures }) => Object.keys(figures));
  const names = new Set(shown.flatMap(named));
  const line = (name) => ({ details: { evaluations } }) => ({
    steps: evaluations.map(({ step }) => step),
    values: evaluations.map(({ figures }) => figures[name] ?? null),
  });
  return new Map([...names].map((name) => [name, { title: name, lines: shown.map(line(name)) }]));
}

function differences(run, other) {
  const title = element("h3", { text: say("options") });
  const names = [...new Set([...Object.keys(run.details.options), ...Object.keys(other.details.options)])];
  const value = ({ details }, name) => (name in details.options ? flat(details.options[name]) : "–");
  const rows = names.map((name) => [name, value(run, name), value(other, name)]).filter(([, one, two]) => one !== two);
  if (rows.length === 0) return [title, element("p", { class: "note", text: say("options_same") })];
  const heads = (scope, texts) => texts.map((text) => element("th", { scope, text }));
  const cells = (texts) => texts.map((text) => element("td", { text }));
  const head = element("tr", {}, ...heads("col", [say("option"), run.summary.name, other.summary.name]));
  const body = rows.map(([name, ...texts]) => element("tr", {}, ...heads("row", [name]), ...cells(texts)));
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return [title, element("div", { class: "wide" }, table)];
}
