/** From the details of runs to lines for the charts: updates or time on the axis below, smoothed or as they are. */

import { number } from "./format.js";
import { say } from "./texts.js";

const MACHINE = ["lr", "tokens_per_second", "memory_mib", "grad_norm"];
const MAIN_FIGURES = new Set(["ndcg_at_10", "rerank_ndcg_at_10"]);
// Of queries without labels, which the teacher judges: its own word on other lists is no level of theirs.
const JUDGED = "judged_ndcg_at_10";

/** What the axis below counts: "step", or "time" in seconds since a run's first point. */
export const AXES = ["step", "time"];

const isNumber = (value) => typeof value === "number";

/** Where a run's time begins. */
function beginning({ steps, evaluations }) {
  return Math.min(...[steps.time[0], evaluations[0]?.time].filter(isNumber));
}

/** Places of the updates of a run on the axis below. */
function placesOfSteps(details, axis) {
  const start = beginning(details);
  return axis === "step" ? details.steps.step : details.steps.time.map((time) => time - start);
}

/** Places of the validations; one whose journal names no time is where its update is. */
function placesOfEvaluations(details, axis) {
  const start = beginning(details);
  return details.evaluations.map(({ step, time }) => (axis === "step" || !isNumber(time) ? step : time - start));
}

/** The last place of all runs on the axis below. */
export function lastPlace(shown, axis) {
  const ends = ({ details }) => [placesOfSteps(details, axis).at(-1), placesOfEvaluations(details, axis).at(-1)];
  return Math.max(0, ...shown.flatMap(ends).filter(isNumber));
}

/**
 * Exponential mean of the values before each place, the beginning not drawn towards zero.
 * @param {(number|null)[]} values null where there is none.
 * @param {number} share of the mean that is kept at each value, 0 to 1.
 */
export function smoothed(values, share) {
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    if (!isNumber(value)) return value;
    sum = share * sum + (1 - share) * value;
    weight = share * weight + (1 - share);
    return sum / weight;
  });
}

/** Lines of one number of all runs; where they are smoothed the values as they are stand behind them, pale. */
function lines(shown, axis, share, valuesOf) {
  const made = shown.map(({ details }, run) => ({ run, xs: placesOfSteps(details, axis), values: valuesOf(details.steps) }));
  if (share === 0) return made;
  const behind = made.map((line) => ({ ...line, pale: true }));
  return [...behind, ...made.map((line) => ({ ...line, values: smoothed(line.values, share) }))];
}

/** Every loss term. */
export function termCurves(shown, axis, share) {
  const names = new Set(shown.flatMap(({ details }) => Object.keys(details.steps.terms)));
  const valuesOf = (name) => (steps) => steps.terms[name] ?? steps.step.map(() => null);
  return new Map([...names].map((name) => [name, { title: name, lines: lines(shown, axis, share, valuesOf(name)) }]));
}

/** Learning rate, speed, memory. */
export function machineCurves(shown, axis) {
  const names = MACHINE.filter((name) => shown.some(({ details }) => details.steps[name].some(Boolean)));
  const curve = (name) => ({ title: say(name), lines: lines(shown, axis, 0, (steps) => steps[name]) });
  return new Map(names.map((name) => [name, curve(name)]));
}

/** Every validation figure, with a mark at the best weights, and what the nDCG of the first run is to be seen against. */
export function figureCurves(shown, axis) {
  const named = ({ details }) => details.evaluations.flatMap(({ figures }) => Object.keys(figures));
  const names = new Set(shown.flatMap(named));
  const line = (name) => ({ details }, run) => ({
    run,
    xs: placesOfEvaluations(details, axis),
    values: details.evaluations.map(({ figures }) => figures[name] ?? null),
  });
  const curve = (name) => ({
    title: name,
    lines: shown.map(line(name)),
    marks: shown.flatMap((run, index) => bestOf(run, index, name, axis)),
    levels: MAIN_FIGURES.has(name) || name === JUDGED ? levelsOf(shown[0], name) : [],
  });
  return new Map([...names].map((name) => [name, curve(name)]));
}

/** The place of a run's best weights in the chart of a figure; none where they are the start's. */
function bestOf({ summary, details }, run, name, axis) {
  const index = details.evaluations.findIndex(({ step }) => step === summary.best.step);
  const value = details.evaluations[index]?.figures[name];
  return isNumber(value) ? [{ run, x: placesOfEvaluations(details, axis)[index], value, step: summary.best.step }] : [];
}

/** Levels across a chart: the model before its training, and the teachers that a gate has measured. */
function levelsOf({ summary, details }, name) {
  const base = details.evaluations.find(({ step }) => step === 0)?.figures[name];
  const before = summary.stage === "teacher" ? "level_start" : "level_base";
  const found = isNumber(base) ? [{ value: base, text: say(before, { value: number(base) }), dash: [8, 4] }] : [];
  if (name === JUDGED) return found;
  const gates = [["level_teacher", "", summary.gate]];
  for (const [teacher, gate] of Object.entries(summary.embedding_gates)) {
    gates.push(["level_embedding_teacher", teacher, gate]);
  }
  for (const [text, name, gate] of gates) {
    const measured = (role) => gate.figures?.[role]?.rerank_ndcg_at_10;
    if (!isNumber(measured("teacher"))) continue;
    const said = { name, value: number(measured("teacher")), base: number(measured("student")) };
    found.push({ value: measured("teacher"), text: say(text, said), dash: [2, 4] });
  }
  return found;
}
