/** The page: settings, the list of runs, and the chosen run, drawn whenever the store has something new. */

import { STYLES } from "./curves.js";
import { write } from "./dom.js";
import { moment } from "./format.js";
import { List } from "./list.js";
import { Run } from "./run.js";
import { Store } from "./store.js";
import { say, speak } from "./texts.js";
import { paint, whenRepainted } from "./theme.js";

const THEMES = ["system", "light", "dark"];
const place = (id) => document.getElementById(id);

const chosen = { run: "", others: [] };
const without = (id) => chosen.others.filter((other) => other !== id);
const list = new List((id) => choose({ run: id, others: without(id) }), changed);
const run = new Run(
  (id) => choose({ run: chosen.run, others: [...without(id), id] }),
  (id) => choose({ run: chosen.run, others: without(id) }),
  changed,
);
const connection = { state: "connecting", since: Date.now() / 1000 };
const store = new Store(changed, (state) => {
  if (state === connection.state) return;
  Object.assign(connection, { state, since: Date.now() / 1000 });
  tellConnection();
});
let drawing = false;

/** Say how the connection is; the style sheet takes the colours out of a page that is not live. */
function tellConnection() {
  document.documentElement.dataset.connection = connection.state;
  write(place("connection"), say(connection.state, { time: moment(connection.since) }));
}

/** What was stored on this device; private windows may forbid it. */
function remembered(name) {
  try {
    return localStorage.getItem(`bistill.${name}`);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`bistill.${name}`, value);
  } catch {
    // Then the setting holds until the page is closed.
  }
}

function choose({ run: id, others }) {
  Object.assign(chosen, { run: id, others: others.slice(0, STYLES.length - 1) });
  const pairs = [["run", id], ...chosen.others.map((other) => ["other", other])];
  history.replaceState(null, "", `#${new URLSearchParams(pairs)}`);
  run.zoomTo(null);
  store.watch([id, ...chosen.others].filter(Boolean));
  changed();
}

/** Draw once a frame, however much has arrived. */
function changed() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  const known = (id) => store.runs.has(id);
  if (!known(chosen.run) && store.order.length) return choose({ run: store.order[0], others: [] });
  if (!chosen.others.every(known)) return choose({ run: chosen.run, others: chosen.others.filter(known) });
  list.show(store.order, store.runs, chosen.run);
  place("run").hidden = !known(chosen.run);
  if (!known(chosen.run)) return undefined;
  const view = (id) => ({ id, summary: store.runs.get(id), details: store.of(id) });
  const shown = [chosen.run, ...chosen.others];
  const choices = store.order.filter((id) => !shown.includes(id)).map((id) => [id, store.runs.get(id).name]);
  run.show(shown.map(view), choices);
  document.title = `${store.runs.get(chosen.run).name} – bistill`;
  return undefined;
}

function setUp() {
  const language = remembered("language") ?? (navigator.language.startsWith("ko") ? "ko" : "en");
  const theme = THEMES.includes(remembered("theme")) ? remembered("theme") : "system";
  speak(language);
  tellConnection();
  paint(theme);
  place("language").value = document.documentElement.lang;
  place("theme").value = theme;
  place("language").addEventListener("change", ({ target }) => {
    remember("language", target.value);
    speak(target.value);
    tellConnection();
    changed();
  });
  place("theme").addEventListener("change", ({ target }) => {
    remember("theme", target.value);
    paint(target.value);
    run.redraw();
  });
  whenRepainted(() => run.redraw());
  document.fonts.addEventListener("loadingdone", () => run.redraw());
  place("runs").append(...list.parts);
  place("run").append(...run.parts);
  const asked = new URLSearchParams(location.hash.slice(1));
  choose({ run: asked.get("run") ?? "", others: asked.getAll("other").filter(Boolean) });
}

setUp();
