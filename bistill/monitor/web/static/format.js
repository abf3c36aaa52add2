/** Numbers, times and amounts as a reader of the page's language expects them. */

import { language, say } from "./texts.js";

/** A number with four digits that count; "–" for none. */
export function number(value) {
  if (typeof value !== "number") return "–";
  if (Number.isInteger(value)) return value.toLocaleString(language());
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(2);
  return value.toLocaleString(language(), { maximumSignificantDigits: size >= 1000 ? Math.ceil(Math.log10(size)) : 4 });
}

/** A number short enough for an axis. */
export function short(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001) return value.toExponential().replace(/(\.\d\d)\d+/, "$1");
  if (size < 10000) return String(Number(value.toPrecision(4)));
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** A share of a whole. */
export function share(value) {
  return value.toLocaleString(language(), { style: "percent", maximumFractionDigits: 1 });
}

/** Mebibytes, as gibibytes where they are many. */
export function memory(mib) {
  if (mib < 1024) return `${Math.round(mib).toLocaleString(language())} MiB`;
  return `${(mib / 1024).toLocaleString(language(), { maximumFractionDigits: 1 })} GiB`;
}

/** Seconds in the two units that matter. */
export function duration(seconds) {
  const whole = Math.round(seconds);
  const parts = {
    days: Math.floor(whole / 86400),
    hours: Math.floor(whole / 3600) % 24,
    minutes: Math.floor(whole / 60) % 60,
    seconds: whole % 60,
  };
  const unit = ["days", "hours", "minutes"].find((name) => parts[name] > 0) ?? "seconds";
  return say(`duration_${unit}`, parts);
}

/** Seconds in one unit, short enough for an axis. */
export function span(seconds) {
  const [unit, length] = [["hours", 3600], ["minutes", 60], ["seconds", 1]].find(([, size]) => seconds >= 2 * size)
    ?? ["seconds", 1];
  return say(`span_${unit}`, { count: (seconds / length).toLocaleString(language(), { maximumFractionDigits: 1 }) });
}

/** Seconds since the epoch as a time of day, with the date where it is not today's. */
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(language(), today ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" });
}

/** A value of any kind in one line: numbers short, what is nested with its names before it. */
export function flat(value) {
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) return value.map(flat).join(", ");
  if (value !== null && typeof value === "object") {
    return Object.entries(value).map(([name, item]) => `${name} ${flat(item)}`).join(", ");
  }
  return value === null || value === undefined ? "–" : String(value);
}
