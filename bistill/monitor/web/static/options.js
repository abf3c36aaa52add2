/** Options of the runs that are shown: those in which they differ, and all of the first. */

import { element, write } from "./dom.js";
import { flat } from "./format.js";
import { say } from "./texts.js";

/** The section of options. */
export class Options {
  constructor() {
    this.differing = element("section");
    this.heading = element("summary");
    this.all = element("dl", { class: "options" });
    this.details = element("details", { id: "options", toggle: () => this.fill() }, this.heading, this.all);
    this.place = element("div", {}, this.differing, this.details);
    this.options = {};
  }

  /** Show the options of runs. */
  show(runs) {
    this.differing.hidden = runs.length < 2;
    const shown = JSON.stringify([say("options"), runs.map(({ summary, details }) => [summary.name, details.options])]);
    if (shown === this.shown) return; // what the reader marks stays
    this.shown = shown;
    this.differing.replaceChildren(...(runs.length < 2 ? [] : differences(runs)));
    this.options = runs[0].details.options;
    write(this.heading, say("options_all", { count: Object.keys(this.options).length }));
    this.fill();
  }

  /** All options of the first run, made once they are asked for. */
  fill() {
    if (!this.details.open) return;
    const pair = ([name, value]) => element("div", {}, element("dt", { text: name }), element("dd", { text: flat(value) }));
    this.all.replaceChildren(...Object.entries(this.options).map(pair));
  }
}

function differences(runs) {
  const title = element("h3", { text: say("options") });
  const names = [...new Set(runs.flatMap(({ details }) => Object.keys(details.options)))];
  const value = ({ details }, name) => (name in details.options ? flat(details.options[name]) : "–");
  const rows = names.map((name) => [name, ...runs.map((run) => value(run, name))])
    .filter(([, first, ...others]) => others.some((other) => other !== first));
  if (rows.length === 0) return [title, element("p", { class: "note", text: say("options_same") })];
  const heads = (scope, texts) => texts.map((text) => element("th", { scope, text }));
  const cells = (texts) => texts.map((text) => element("td", { text }));
  const head = element("tr", {}, ...heads("col", [say("option"), ...runs.map(({ summary }) => summary.name)]));
  const body = rows.map(([name, ...texts]) => element("tr", {}, ...heads("row", [name]), ...cells(texts)));
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  return [title, element("div", { class: "wide" }, table)];
}
