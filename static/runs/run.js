// The curves of one run: one figure a chart, drawn anew when the run says more. The two that matter most are large.

import { draw } from "../js/charts.js";

const section = document.querySelector("#curves");
const template = document.querySelector("#chart-template");
const figures = new Map(); // title -> figure

/** Series of one chart on one axis of steps: a step that a series has no value for is null there. */
function specOf({ series }) {
  const steps = [...new Set(series.flatMap(({ points }) => points.map(([step]) => step)))].sort((a, b) => a - b);
  return {
    x: { label: "step", values: steps },
    y: { label: "" },
    series: series.map(({ name, points }, i) => {
      const at = new Map(points);
      return {
        label: name.startsWith("eval_") ? "held out" : series.length > 1 && i === 0 ? "train" : name.replaceAll("_", " "),
        values: steps.map((step) => at.get(step) ?? null),
        role: i === series.length - 1 ? "main" : "other",
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
