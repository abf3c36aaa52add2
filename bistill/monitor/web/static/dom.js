/** Elements whose texts are only ever texts: nothing here, or anywhere on the page, reads markup from a string. */

/**
 * A new element.
 * @param {string} tag name of the element.
 * @param {object} attributes by name; `text` is its text, and a function listens to the event of its name.
 * @param {...(Node|string)} children strings become texts.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Give an element another text, and leave it alone where it has that text: screen readers and selections stay calm. */
export function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** Options of a choice: pairs of value and text; what is chosen stays chosen where it is still there. */
export function offer(select, pairs, chosen) {
  const same = pairs.length === select.options.length
    && [...select.options].every((option, index) => option.value === pairs[index][0] && option.text === pairs[index][1]);
  if (!same) select.replaceChildren(...pairs.map(([value, text]) => element("option", { value, text })));
  select.value = chosen;
}
