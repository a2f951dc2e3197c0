// Buses, or branches, by time: colour for the value, hatch for what is beyond a limit.
function drawHeat(figure, box) {
  const network = page.networks[figure.network], voltage = figure.of === "bus";
  const rows = network.order[figure.of], names = network[figure.of], values = network.values[figure.of];
  const limit = k => (voltage ? [network.low[k], network.high[k]] : [null, network.rated ? network.limit[k] : null]);
  const colour = (k, value) => (voltage ? voltageColour(value, network.low[k], network.high[k]) : loadingColour(value, network.rated ? network.limit[k] : network.most));
  const beyond = (k, value) => {
    const [low, high] = limit(k);
    return value === null ? "flat" : high !== null && value > high + figure.tolerance ? "up" : low !== null && value < low - figure.tolerance ? "down" : null;
  };
  scaleOf(figure, network, html("div", "scale", box));
  const plot = html("div", "", box);
  let follow = () => {};
  const draw = () => {
    const each = Math.max(1, Math.min(printing() ? 11 : 15, 900 / rows.length)), top = 6, height = Math.round(rows.length * each) + top + AXIS;
    const [root, width] = canvas(plot, height, figure.label), begin = left(width), bottom = height - AXIS, shown = state.to - state.from;
    const bitmap = document.createElement("canvas");
    bitmap.width = shown, bitmap.height = rows.length;
    const context = bitmap.getContext("2d"), pixels = context.createImageData(shown, rows.length);
    rows.forEach((k, row) => {
      for (let t = 0; t < shown; t++) {
        const rgb = colour(k, values[k][state.from + t]), at = 4 * (row * shown + t);
        pixels.data[at] = rgb[0], pixels.data[at + 1] = rgb[1], pixels.data[at + 2] = rgb[2], pixels.data[at + 3] = 255;
      }
    });
    context.putImageData(pixels, 0, 0);
    const x = timeAxis(root, width, top, bottom);
    svg("image", { href: bitmap.toDataURL(), x: begin, y: top, width: width - begin - RIGHT, height: bottom - top, preserveAspectRatio: "none", class: "pixels" }, root);
    const paths = { up: [], down: [], flat: [] };
    const skip = Math.ceil((printing() ? 11 : 15) / each);
    rows.forEach((k, row) => {
      const y = top + row * each;
      if (row % skip === 0) svg("text", { x: begin - 6, y: y + Math.min(each, 15) - 3, class: "tick end" }, root, fitted(names[k], begin - 8));
      let since = null, kind = null;
      for (let t = state.from; t <= state.to; t++) {
        const found = t < state.to ? beyond(k, values[k][t]) : null;
        if (found === kind) continue;
        if (kind) paths[kind].push(`M${x(since).toFixed(1)},${y}h${Math.max(1.5, x(t) - x(since)).toFixed(1)}v${each}H${x(since).toFixed(1)}Z`);
        since = t, kind = found;
      }
    });
    for (const [kind, parts] of Object.entries(paths)) {
      svg("path", { d: parts.join(""), fill: `url(#hatch-${kind})`, class: `beyond ${kind}` }, root);
    }
    const chosen = svg("rect", { x: begin, width: width - begin - RIGHT, height: each, class: "chosen" }, root);
    const line = interactive(root, width, top, bottom, x, (frame, py) => {
      const k = rows[Math.max(0, Math.min(rows.length - 1, Math.floor((py - top) / each)))], [low, high] = limit(k);
      const text = [`${network.name}, ${voltage ? "bus" : "branch"} ${names[k]}`, `${number(values[k][frame])} ${figure.unit}`];
      if (low !== null || high !== null) text.push(`limits ${low !== null ? number(low) + " to " : ""}${number(high)} ${figure.unit}`);
      return { head: spoken(frame), rows: text, place: { network: figure.network, of: figure.of, k } };
    });
    follow = () => {
      const place = state.place, here = place && place.network === figure.network && place.of === figure.of;
      chosen.setAttribute("visibility", here ? "visible" : "hidden");
      if (here) chosen.setAttribute("y", top + rows.indexOf(place.k) * each);
      line();
    };
    follow();
  };
  draws.push(draw), followers.push(() => follow());
  draw();
}

function scaleOf(figure, network, box) {
  const voltage = figure.of === "bus", width = 240, root = svg("svg", { viewBox: `0 0 ${width} 34`, width, role: "img", "aria-label": "scale of colours" }, box);
  const low = voltage ? Math.min(...network.low) : 0, high = voltage ? Math.max(...network.high) : network.rated ? Math.max(...network.limit) : network.most;
  const [begin, end] = voltage ? [low - 0.4 * (high - low), high + 0.4 * (high - low)] : [0, network.rated ? 1.5 * high : high];
  const x = value => 14 + ((value - begin) / (end - begin)) * (width - 28);
  for (let i = 0; i < 60; i++) {
    const value = begin + ((i + 0.5) / 60) * (end - begin);
    svg("rect", { x: x(value) - (width - 28) / 120, width: (width - 28) / 60 + 0.5, height: 14, fill: css(voltage ? voltageColour(value, low, high) : loadingColour(value, high)) }, root);
  }
  if (voltage) svg("rect", { x: x(begin), width: x(low) - x(begin), height: 14, fill: "url(#hatch-down)" }, root);
  if (voltage || network.rated) svg("rect", { x: x(high), width: x(end) - x(high), height: 14, fill: "url(#hatch-up)" }, root);
  for (const value of voltage ? [low, high] : network.rated ? [0, high] : [0, network.most]) {
    svg("line", { x1: x(value), x2: x(value), y1: 0, y2: 18, class: "zero" }, root);
    svg("text", { x: x(value), y: 30, class: "tick middle" }, root, number(value));
  }
  html("span", "", box, `${figure.unit}${voltage || network.rated ? "; hatched: beyond a limit" : ", no ratings known"}`);
}
