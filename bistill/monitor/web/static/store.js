/** What the page knows: the runs, and the details of those it shows, kept up to date by the server's events. */

/** Details of a run before anything has arrived. */
function empty() {
  return { steps: { step: [], time: [], lr: [], grad_norm: [], tokens_per_second: [], memory_mib: [], terms: {} },
    evaluations: [], events: [], options: {} };
}

// How often it is asked whether the server was heard of, and how many of its signs of life may be missed.
const CHECK_MS = 500;
const MISSED = 3;

/** Runs, details, and the connection that feeds them. */
export class Store {
  /**
   * @param {function} changed called after something has changed.
   * @param {function} connection called with "connected", "lost" or "refused".
   */
  constructor(changed, connection) {
    this.changed = changed;
    this.connection = connection;
    this.order = [];
    this.runs = new Map();
    this.details = new Map();
    this.watched = [];
    this.source = null;
    this.heard = Date.now();
    this.patience = Infinity;
    setInterval(() => this.check(), CHECK_MS);
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.watch(this.watched)));
  }

  /** Ask for the details of these runs; everything known about them is sent anew. */
  watch(ids) {
    this.rest();
    this.watched = ids;
    this.heard = Date.now();
    const query = new URLSearchParams(ids.map((id) => ["run", id]));
    const source = new EventSource(`/api/changes?${query}`);
    let first = true;
    const take = (name, use) => source.addEventListener(name, (event) => {
      this.heard = Date.now();
      this.connection("connected");
      use(JSON.parse(event.data));
    });
    take("runs", (found) => {
      if (first) this.runs.clear();
      first = false;
      this.takeRuns(found);
    });
    take("run", (found) => this.takeRun(found));
    take("alive", (seconds) => {
      this.patience = MISSED * 1000 * seconds;
    });
    source.addEventListener("error", () => {
      first = true;
      this.connection(source.readyState === EventSource.CLOSED ? "refused" : "lost");
    });
    this.source = source;
  }

  /** Notice a connection that is dead though nobody has said so, and ask anew. */
  check() {
    if (!this.source || this.source.readyState === EventSource.CLOSED || Date.now() - this.heard < this.patience) return;
    this.connection("lost");
    this.watch(this.watched);
  }

  /** Listen no longer: a page that nobody looks at costs nothing. */
  rest() {
    this.source?.close();
    this.source = null;
  }

  takeRuns({ order, runs }) {
    for (const [id, summary] of Object.entries(runs)) this.runs.set(id, summary);
    this.order = order;
    this.changed();
  }

  takeRun({ id, steps, evaluations, events, options }) {
    const known = this.details.get(id) ?? empty();
    if (steps) known.steps = extended(known.steps, steps.after, steps.values);
    if (evaluations) known.evaluations = [...known.evaluations.slice(0, evaluations.after), ...evaluations.values];
    if (events) known.events = events;
    if (options) known.options = options;
    this.details.set(id, known);
    this.changed();
  }

  /** Details of a run, perhaps still empty. */
  of(id) {
    return this.details.get(id) ?? empty();
  }
}

/** Columns of which the first `after` rows stay, with further rows behind them; a term that is missing is null. */
function extended(columns, after, further) {
  const found = {};
  for (const name of Object.keys(further)) {
    if (name !== "terms") found[name] = [...columns[name].slice(0, after), ...further[name]];
  }
  found.terms = {};
  const count = further.step.length;
  for (const name of new Set([...(after ? Object.keys(columns.terms) : []), ...Object.keys(further.terms)])) {
    const before = columns.terms[name]?.slice(0, after) ?? Array(after).fill(null);
    found.terms[name] = [...before, ...(further.terms[name] ?? Array(count).fill(null))];
  }
  return found;
}
