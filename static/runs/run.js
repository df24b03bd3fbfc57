// The curves of a run, or of several beside each other: one figure a chart, drawn anew when a run says more.
// The two that matter most are large.

import { draw } from "../js/charts.js";

const section = document.querySelector("#curves");
const template = document.querySelector("#chart-template");
const figures = new Map(); // title -> figure

const isHeldOut = ({ name }) => name.startsWith("eval_");

const labelOf = (name, i, series) =>
  isHeldOut({ name }) ? gettext("held out") : i === 0 && series.some(isHeldOut) ? gettext("train") : name.replaceAll("_", " ");

/** What is measured on held-out data is what counts: beside it the noisy values of training are context. */
function roleOf(name, series) {
  if (!series.some(isHeldOut)) return name === series.at(-1).name ? "main" : "other";
  return isHeldOut({ name }) ? "main" : "context";
}

/** Series of one chart on one axis of steps: a step that a series has no value for is null there. Runs bring a `label`. */
function specOf({ series }) {
  const steps = [...new Set(series.flatMap(({ points }) => points.map(([step]) => step)))].sort((a, b) => a - b);
  return {
    x: { label: gettext("step"), values: steps },
    y: { label: "" },
    series: series.map(({ name, label, points, low, high }, i) => {
      const onSteps = (pairs) => {
        const at = new Map(pairs);
        return steps.map((step) => at.get(step) ?? null);
      };
      return {
        ...(low && high ? { low: onSteps(low), high: onSteps(high) } : {}),
        label: label ?? labelOf(name, i, series),
        values: onSteps(points),
        role: label === undefined ? roleOf(name, series) : "other",
      };
    }),
  };
}

function figureOf(chart) {
  const known = figures.get(chart.title);
  if (known) return known;
  const figure = template.content.firstElementChild.cloneNode(true);
  figure.id = `chart-${figures.size}`;
  figure.querySelector("figcaption > span").textContent = chart.title;
  section.querySelector(chart.is_first ? "[data-first]" : "[data-rest]").append(figure);
  figures.set(chart.title, figure);
  return figure;
}

async function refresh() {
  const answer = await fetch(section.dataset.url, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { charts } = await answer.json();
  for (const chart of charts) draw(figureOf(chart), specOf(chart));
}

section.addEventListener("hint", refresh);
refresh();
