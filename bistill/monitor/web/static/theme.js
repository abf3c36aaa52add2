/** Dark or light, and the colours of the style sheet for drawings on a canvas, which no style sheet reaches. */

const NAMES = ["text", "soft", "line", "first", "second", "third", "fourth", "fifth", "sixth", "good", "page"];
const SYSTEM = window.matchMedia("(prefers-color-scheme: dark)");

/** The colours in use, by the names of the style sheet. */
export const colours = {};

/** Use "system", "light" or "dark" from now on. */
export function paint(theme) {
  document.documentElement.dataset.theme = theme;
  read();
}

/** Call back after the colours have changed, with those of the system, too. */
export function whenRepainted(callback) {
  SYSTEM.addEventListener("change", () => {
    read();
    callback();
  });
}

function read() {
  const probe = document.body.appendChild(document.createElement("span"));
  for (const name of NAMES) {
    probe.className = `colour-${name}`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

/** A colour let through partly, for areas. */
export function pale(colour) {
  return colour.replace(/^rgb\((.*)\)$/, "rgba($1, 0.22)");
}
