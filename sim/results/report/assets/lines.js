// Values over time, constant within a step: one panel above another, limits as dashed lines.
const PANEL = 120, GAP = 26, AXIS = 36;
const colourOf = series => `var(--c${(series.colour ?? 0) % 8})`;

function drawLines(figure, box) {
  const named = figure.panels.flatMap(panel => panel.series).filter((one, i, all) => all.findIndex(other => other.name === one.name) === i);
  const entries = named.map(one => ({ name: one.name, colour: colourOf(one), class: one.style }));
  if (figure.panels.some(panel => panel.limits.length)) entries.push({ name: "limit", colour: "var(--bad)", class: "limit" });
  const legendBox = html("div", "", box), plot = html("div", "", box);
  if (entries.length > 1) legend(legendBox, entries);
  let follows = [];
  const draw = () => {
    // a sheet of paper holds a few panels; no panel is cut by its end
    const most = printing() ? 5 : figure.panels.length, groups = [];
    for (let k = 0; k < figure.panels.length; k += most) groups.push(figure.panels.slice(k, k + most));
    plot.replaceChildren();
    follows = groups.map(group => drawGroup(figure, group, html("div", "sheet", plot)));
  };
  draws.push(draw), followers.push(() => follows.forEach(follow => follow()));
  draw();
}

function drawGroup(figure, panels, box) {
  const height = panels.length * (PANEL + GAP) + AXIS, [root, width] = canvas(box, height, figure.label);
  const bottom = height - AXIS, x = timeAxis(root, width, GAP, bottom);
  panels.forEach((panel, i) => drawPanel(root, panel, width, left(width), x, i * (PANEL + GAP) + GAP));
  return interactive(root, width, GAP, bottom, x, (frame, py) => {
    const panel = panels[Math.max(0, Math.min(panels.length - 1, Math.floor(py / (PANEL + GAP))))];
    return panel.series.map(one => `${one.name}: ${one.low ? number(one.low[frame]) + " to " : ""}${number(one.values[frame])} ${panel.unit}`);
  });
}

function drawPanel(root, panel, width, begin, x, top) {
  let low = Infinity, high = -Infinity;
  for (const one of panel.series)
    for (const values of [one.values, one.low || []])
      for (let k = state.from; k < state.to; k++)
        if (values[k] !== null && values[k] !== undefined) low = Math.min(low, values[k]), high = Math.max(high, values[k]);
  for (const one of panel.limits) low = Math.min(low, one), high = Math.max(high, one);
  if (panel.zero || !isFinite(low)) low = Math.min(low, 0), high = Math.max(high, 0);
  const size = Math.max(high - low, Math.abs(high) * 1e-3, 1e-9);
  low -= size * 0.05, high += size * 0.05;
  const y = value => top + PANEL - ((value - low) / (high - low)) * PANEL;
  for (const value of nice(low, high, 4)) {
    svg("line", { x1: begin, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }, root);
    svg("text", { x: begin - 6, y: y(value) + 4, class: "tick end" }, root, number(value));
  }
  if (low < 0 && high > 0) svg("line", { x1: begin, x2: width - RIGHT, y1: y(0), y2: y(0), class: "zero" }, root);
  svg("text", { x: begin, y: top - 7, class: "unit" }, root, fitted([panel.title, panel.unit].filter(Boolean).join(", "), width - begin - RIGHT));
  for (const one of panel.limits) svg("line", { x1: begin, x2: width - RIGHT, y1: y(one), y2: y(one), class: "line limit" }, root);
  for (const one of [...panel.series].sort((a, b) => (b.style === "under") - (a.style === "under"))) {
    if (one.low) svg("path", { d: bandOf(one, x, y), class: "between", style: `fill:${colourOf(one)}` }, root);
    svg("path", { d: stepsOf(one.values, x, y), class: `line ${one.style || ""}`, style: `stroke:${colourOf(one)}` }, root);
    if (one.low) svg("path", { d: stepsOf(one.low, x, y), class: `line ${one.style || ""}`, style: `stroke:${colourOf(one)}` }, root);
  }
}

function stepsOf(values, x, y) {
  const parts = [];
  let before = null;
  for (let k = state.from; k < state.to; k++) {
    const value = values[k] ?? null;
    if (value !== null) parts.push(before === null ? `M${x(k).toFixed(1)},${y(value).toFixed(1)}` : value === before ? "" : `V${y(value).toFixed(1)}`, `H${x(k + 1).toFixed(1)}`);
    before = value;
  }
  return parts.join("");
}

function bandOf(series, x, y) {
  const parts = [];
  for (let k = state.from; k < state.to; k++) {
    const [a, b] = [series.low[k] ?? null, series.values[k] ?? null];
    if (a !== null && b !== null) parts.push(`M${x(k).toFixed(1)},${y(a).toFixed(1)}H${x(k + 1).toFixed(1)}V${y(b).toFixed(1)}H${x(k).toFixed(1)}Z`);
  }
  return parts.join("");
}
