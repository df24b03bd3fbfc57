// Line charts: several series with direct labels, a band for an interval, a crosshair that reads values, log axes, a table.
//
// Draws every <figure data-chart> from the JSON inside it or behind `data-url`; `draw(figure, spec)` does so from a script.
//   spec = {
//     x: {label: "step", values: [0, 1, 2], scale: "linear" | "log" | "time"},      // time: seconds since 1970;
//         // "day": the same, told as days; with `every`, the steps that ticks may have
//     y: {label: "loss", scale: "linear" | "log", unit: "nats", from: 0},           // from: a value that is always in view
//     series: [{label: "held out", values: [2.1, null, 1.8], low: [...], high: [...], role: "main" | "other" | "context",
//               dashed: false}],
//     references: [{y: 0.72, label: "ceiling"}],
//     bands: [{low: 63, high: 77, label: "what studies report"}],                   // a range to expect, behind the lines
//   }

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { dayOf, placeOn, shown, tableOf, withInterval } from "./chart_table.js";

const LABEL_FONT = 11; // px
const DAYS = [1, 2, 4, 7, 14, 28, 91, 182, 364].map((count) => count * 86_400);
const plots = new Map(); // figure -> {plot, spec, signature}

// A panel beside this one may come later and take half of the width.
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const held = plots.get(target.closest(".chart"));
    if (held?.plot && held.plot.width !== target.clientWidth)
      held.plot.setSize({ width: target.clientWidth, height: held.plot.height });
  }
});

// A token's colour as the canvas needs it: `light-dark()` is settled only where it is used.
function colour(token) {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  probe.hidden = true;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function strokes(series) {
  const hues = ["--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];
  if (!series.some(({ role }) => role === "main")) hues.unshift("--series-1");
  let others = 0;
  return series.map(({ role }) => {
    if (role === "context") return colour("--series-context");
    if (role === "main") return colour("--series-1");
    others += 1;
    return colour(hues[(others - 1) % hues.length]);
  });
}

// uPlot's columns: x, then each series, then the edges of each band.
function columns({ x, series }) {
  const bands = series.flatMap((one) => (one.low && one.high ? [one.high, one.low] : []));
  return [x.values, ...series.map((one) => one.values), ...bands];
}

function bandsOf(series, colours) {
  const drawn = [];
  let at = series.length + 1;
  series.forEach((one, index) => {
    if (!(one.low && one.high)) return;
    drawn.push({ series: [at, at + 1], fill: colours[index].replace(/^rgb\((.*)\)$/, "rgba($1, 0.16)") });
    at += 2;
  });
  return drawn;
}

function lines(series, colours) {
  const drawn = series.map((one, index) => ({
    label: one.label,
    stroke: colours[index],
    width: one.role === "context" ? 1.25 : 2,
    dash: one.dashed ? [5, 4] : undefined,
    spanGaps: true,
    points: { show: one.values.filter((value) => value !== null).length < 3, size: 5 },
  }));
  const edges = series.flatMap((one) => (one.low && one.high ? [edge(), edge()] : []));
  return [{}, ...drawn, ...edges];
}

const edge = () => ({ stroke: "transparent", width: 0, spanGaps: true, points: { show: false } });

const widest = (plot, words) => Math.max(30, ...(words ?? []).map((word) => 12 + 6.4 * word.length));

function axes({ x, y }) {
  const powers = (plot, ticks) => ticks.map((tick) => (Number.isInteger(Math.log10(tick)) ? tick : null));
  const shared = {
    stroke: colour("--ink-3"),
    font: `${LABEL_FONT}px ${getComputedStyle(document.body).fontFamily}`,
    ticks: { show: false },
    labelFont: `${LABEL_FONT}px ${getComputedStyle(document.body).fontFamily}`,
    labelSize: 16,
  };
  const grid = ({ scale }) => ({ stroke: colour("--line"), width: 1, ...(scale === "log" ? { filter: powers } : {}) });
  const words = (plot, ticks) => ticks.map((tick) => (tick === null ? "" : shown(tick)));
  const days = (plot, ticks) => ticks.map(dayOf);
  const own = x.scale === "time" ? {} : x.scale === "day" ? { values: days, incrs: DAYS } : { values: words };
  if (x.every) own.incrs = x.every;
  return [
    { ...shared, ...own, grid: grid(x), label: x.label, size: 26, gap: 4 },
    { ...shared, grid: grid(y), values: words, size: widest, gap: 4 },
  ];
}

function scales({ x, y, references = [], bands = [] }) {
  const held = [...references.map((one) => one.y), ...bands.flatMap((one) => [one.low, one.high]), ...(y.from === undefined ? [] : [y.from])];
  const range = (plot, low, high) => {
    if (low === null) return [0, 1];
    const [from, to] = [Math.min(low, ...held), Math.max(high, ...held)];
    return y.scale === "log" ? uPlot.rangeLog(from, to, 10, false) : uPlot.rangeNum(from, to, 0.08, true);
  };
  return {
    x: { time: x.scale === "time" || x.scale === "day", distr: x.scale === "log" ? 3 : 1 },
    y: { distr: y.scale === "log" ? 3 : 1, range },
  };
}

// Names at the ends of lines, pushed apart where they would meet, instead of a legend to look up.
function endLabels(series, colours) {
  return (plot) => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    const step = (LABEL_FONT + 3) * ratio;
    const ends = series
      .map((one, index) => ({ one, index, at: one.values.findLastIndex((value) => value !== null) }))
      .filter(({ at, one }) => at >= 0 && one.label)
      .map(({ one, index, at }) => ({ label: one.label, colour: colours[index], y: plot.valToPos(one.values[at], "y", true) }))
      .sort((a, b) => a.y - b.y);
    let floor = bbox.top + step / 2;
    for (const end of ends) floor = (end.y = Math.max(end.y, floor)) + step;
    let ceiling = bbox.top + bbox.height - step / 4;
    for (const end of ends.toReversed()) ceiling = (end.y = Math.min(end.y, ceiling)) - step;
    ctx.save();
    ctx.font = `600 ${LABEL_FONT * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    for (const end of ends) {
      ctx.fillStyle = end.colour;
      ctx.fillText(end.label, bbox.left + bbox.width + 6 * ratio, end.y);
    }
    ctx.restore();
  };
}

function referenceLines(references) {
  return (plot) => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${LABEL_FONT * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.fillStyle = ctx.strokeStyle = colour("--ink-3");
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    ctx.setLineDash([4 * ratio, 4 * ratio]);
    for (const { y, label } of references) {
      const at = Math.round(plot.valToPos(y, "y", true));
      ctx.beginPath();
      ctx.moveTo(bbox.left, at);
      ctx.lineTo(bbox.left + bbox.width, at);
      ctx.stroke();
      ctx.fillText(label, bbox.left + 4 * ratio, at - 2 * ratio);
    }
    ctx.restore();
  };
}

// Ranges across the whole width, behind the lines.
function expectedRanges(bands) {
  return (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = colour("--line");
    ctx.globalAlpha = 0.7;
    for (const { low, high } of bands) {
      const [top, bottom] = [high, low].map((y) => Math.round(plot.valToPos(y, "y", true)));
      ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
    }
    ctx.restore();
  };
}

// Their names at their upper edges, over the lines, where a name fits: a note below names them too.
function rangeNames(bands) {
  return (plot) => {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.font = `${LABEL_FONT * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "top";
    ctx.lineJoin = "round";
    ctx.lineWidth = 4 * ratio;
    ctx.strokeStyle = colour("--line"); // as the range itself: a line that passes here is broken, and the name is not
    ctx.fillStyle = colour("--ink-2");
    for (const { high, label } of bands) {
      if (ctx.measureText(label).width >= bbox.width - 8 * ratio) continue;
      const place = [label, bbox.left + 4 * ratio, Math.round(plot.valToPos(high, "y", true)) + 3 * ratio];
      ctx.strokeText(...place);
      ctx.fillText(...place);
    }
    ctx.restore();
  };
}

function marginFor(series) {
  const ctx = document.createElement("canvas").getContext("2d");
  ctx.font = `600 ${LABEL_FONT}px ${getComputedStyle(document.body).fontFamily}`;
  return 14 + Math.max(0, ...series.map(({ label }) => ctx.measureText(label ?? "").width));
}

// The values under the crosshair, in words; at rest, the newest. A series measured now and then says its latest until there.
function readout(figure, spec, colours) {
  const place = figure.querySelector(".chart-values");
  return (plot) => {
    const at = plot.cursor.idx ?? spec.x.values.length - 1;
    if (at < 0) return;
    const x = placeOn(spec.x, spec.x.values[at]);
    place.replaceChildren(`${spec.x.label} ${x}`);
    spec.series.forEach((one, index) => {
      const seen = one.values.slice(0, at + 1).findLastIndex((value) => value !== null);
      if (seen < 0) return;
      const key = Object.assign(document.createElement("i"), { className: "chart-key" });
      key.style.color = colours[index];
      const words = document.createElement("span");
      words.append(key, `${one.label} ${withInterval(one, seen)}`);
      place.append(words);
    });
  };
}

function isEmpty(spec) {
  return !spec.series.some((one) => one.values.some((value) => value !== null));
}

export function draw(figure, spec) {
  const held = plots.get(figure);
  const place = figure.querySelector(".chart-plot");
  resized.observe(place);
  figure.querySelector(".more .table-wrap")?.replaceChildren(tableOf(spec));
  const now = figure.querySelector(".chart-now");
  if (now) now.textContent = spec.y.unit ?? "";
  const signature = JSON.stringify([spec.x.scale, spec.y, spec.references, spec.bands, spec.series.map((one) => [one.label, one.role, Boolean(one.low)])]);
  if (held?.plot && held.signature === signature) {
    Object.assign(held.spec, spec); // what the hooks read
    held.plot.setData(columns(held.spec));
    return;
  }
  held?.plot?.destroy();
  place.replaceChildren();
  place.classList.toggle("is-empty", isEmpty(spec));
  if (isEmpty(spec)) {
    place.append(Object.assign(document.createElement("p"), { className: "muted", textContent: gettext("Nothing measured yet.") }));
    plots.set(figure, { plot: null, spec, signature });
    return;
  }
  const colours = strokes(spec.series);
  const read = readout(figure, spec, colours);
  const plot = new uPlot(
    {
      width: place.clientWidth,
      height: Math.max(place.clientHeight, 120),
      padding: [10, marginFor(spec.series), 0, 0],
      legend: { show: false },
      cursor: { points: { size: 6 }, drag: { x: true, y: false }, sync: { key: figure.dataset.sync ?? figure.id } },
      scales: scales(spec),
      axes: axes(spec),
      series: lines(spec.series, colours),
      bands: bandsOf(spec.series, colours),
      hooks: {
        drawClear: [(drawn) => expectedRanges(spec.bands ?? [])(drawn)],
        draw: [
          (drawn) => endLabels(spec.series, colours)(drawn),
          (drawn) => referenceLines(spec.references ?? [])(drawn),
          (drawn) => rangeNames(spec.bands ?? [])(drawn),
        ],
        setCursor: [read],
        setData: [read],
        ready: [read],
      },
    },
    columns(spec),
    place,
  );
  plots.set(figure, { plot, spec, signature });
}

async function load(figure) {
  if (figure.dataset.url) {
    const answer = await fetch(figure.dataset.url, { headers: { Accept: "application/json" } });
    if (answer.ok) draw(figure, await answer.json());
    return;
  }
  const inside = figure.querySelector('script[type="application/json"]');
  if (inside) draw(figure, JSON.parse(inside.textContent));
}

function redrawAll() {
  for (const [figure, { plot, spec }] of [...plots]) {
    plot?.destroy();
    plots.delete(figure);
    if (figure.isConnected) draw(figure, spec);
  }
}

export function start(root = document) {
  for (const figure of root.querySelectorAll("[data-chart]")) {
    if (figure.dataset.started) continue;
    figure.dataset.started = "yes";
    figure.addEventListener("hint", () => load(figure));
    load(figure);
  }
}

document.fonts.ready.then(() => {
  redrawAll(); // what a script drew before the letters were there
  start();
});
document.addEventListener("htmx:afterSettle", () => {
  for (const [figure, { plot }] of [...plots])
    if (!figure.isConnected) {
      plot?.destroy();
      plots.delete(figure);
    }
  start();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
new MutationObserver(redrawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
