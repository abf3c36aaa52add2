/** Why a run is not going on: what happened, what it said last, and what to do. */

import { element, write } from "./dom.js";
import { language, say } from "./texts.js";

const FACTS = ["todo", "given_up", "last"];

/** The failure of a run in the page's language; undefined where there is none. */
export function failureOf(summary) {
  return summary.failure?.[language()];
}

/** Its first line, for the list of runs. */
export function briefly({ kind, error }) {
  return error ? `${kind}: ${error.split("\n")[0]}` : kind;
}

/** The card; hidden where there is no failure. */
export class Failure {
  constructor() {
    this.kind = element("p", { class: "kind" });
    this.error = element("pre");
    this.facts = element("dl");
    this.heading = element("summary");
    this.output = element("pre");
    this.more = element("details", {}, this.heading, this.output);
    this.place = element("section", { class: "failure" }, this.kind, this.error, this.facts, this.more);
  }

  show(summary) {
    const failure = failureOf(summary);
    this.place.hidden = !failure;
    if (!failure) return;
    write(this.kind, failure.kind);
    write(this.error, failure.error);
    this.error.hidden = !failure.error;
    write(this.heading, say("failure_output"));
    write(this.output, failure.output);
    this.more.hidden = !failure.output;
    const rows = FACTS.filter((name) => failure[name]).map((name) => [say(`failure_${name}`), failure[name]]);
    const shown = JSON.stringify(rows);
    if (shown === this.shown) return; // what the reader marks stays
    this.shown = shown;
    this.facts.replaceChildren(...rows.flatMap(([name, text]) => [element("dt", { text: name }), element("dd", { text })]));
  }
}
