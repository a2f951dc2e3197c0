// The networks at the chosen time: buses by voltage, branches by loading, devices and trucks where they are.
function drawMap(figure, box) {
  const clock = html("p", "clock", box), plot = html("div", "", box), listed = html("div", "wide", box);
  let follow = () => {};
  const draw = () => { follow = mapOf(figure, plot); follow(); };
  const list = figure.devices.length ? deviceList(figure, listed) : () => {};
  draws.push(draw);
  followers.push(() => { follow(), list(), clock.textContent = spoken(state.frame); });
  draw(), list(), (clock.textContent = spoken(state.frame));
}

function mapOf(figure, plot) {
  const room = Math.max(plot.clientWidth, 240), across = room > 900 && page.networks.length > 1 ? 2 : 1, each = room / across;
  const heights = page.networks.map(one => Math.max(130, Math.min(520, one.aspect ? one.aspect * (each - 60) : one.leaves * 58)) + 80);
  const rows = [];
  heights.forEach((h, i) => { const row = Math.floor(i / across); rows[row] = Math.max(rows[row] || 0, h); });
  const tops = rows.map((_, row) => rows.slice(0, row).reduce((a, b) => a + b, 0));
  const [root] = canvas(plot, rows.reduce((a, b) => a + b, 0), figure.label);
  const spot = (net, k) => {
    const one = page.networks[net], row = Math.floor(net / across), x0 = (net % across) * each;
    return [x0 + 20 + one.x[k] * (each - 64), tops[row] + 46 + one.y[k] * (rows[row] - 86)];
  };
  const size = net => Math.max(2.5, Math.min(5.5, page.networks[net].aspect ? 5 : (0.38 * (each - 64)) / page.networks[net].deepest));
  const taken = [], free = box => !taken.some(o => box[0] < o[2] && o[0] < box[2] && box[1] < o[3] && o[1] < box[3]) && box[0] >= 0 && box[2] <= room;
  const label = (x, y, text, className, spots) => {
    const w = extent(text, className.includes("device") ? "bold" : "normal");
    for (const [dx, dy] of spots(w)) {
      const box = [x + dx - 1, y + dy - 11, x + dx + w + 1, y + dy + 3];
      if (!free(box)) continue;
      taken.push(box);
      return svg("text", { x: x + dx, y: y + dy, class: className }, root, text);
    }
    return null;
  };
  const ties = svg("g", {}, root), updates = [];
  page.networks.forEach((one, net) => {
    const [tx, ty] = [(net % across) * each + 6, tops[Math.floor(net / across)] + 16];
    svg("text", { x: tx, y: ty, class: "unit" }, root, fitted(one.name, each - 20));
    taken.push([tx, ty - 12, tx + extent(one.name, "bold"), ty + 3]);
    one.ends.forEach(([a, b], k) => {
      const [x1, y1] = spot(net, a), [x2, y2] = spot(net, b);
      const line = svg("line", { x1, y1, x2, y2, class: "branch" }, root), over = svg("line", { x1, y1, x2, y2, class: "over" }, root);
      const hit = svg("line", { x1, y1, x2, y2, class: "hit" }, root);
      noted(hit, { network: net, of: "line", k }, () => [`${one.name}, branch ${one.line[k]}`, `${number(one.values.line[k][state.frame])} ${one.unit}`]);
      updates.push(() => {
        const value = one.values.line[k][state.frame], most = one.rated ? one.limit[k] : one.most;
        line.style.stroke = css(loadingColour(value, most));
        line.style.strokeWidth = 2 + 5 * Math.min(1.2, (value || 0) / most);
        over.setAttribute("visibility", one.rated && value > one.limit[k] + 1e-3 ? "visible" : "hidden");
      });
    });
    one.bus.forEach((name, k) => {
      const [x, y] = spot(net, k), r = size(net), mark = svg("path", { class: "bus" }, root);
      taken.push([x - 7, y - 7, x + 7, y + 7]);
      noted(mark, { network: net, of: "bus", k }, () => [`${one.name}, bus ${name}`, `${number(one.values.bus[k][state.frame])} pu`, `limits ${number(one.low[k])} to ${number(one.high[k])} pu`]);
      updates.push(() => {
        const v = one.values.bus[k][state.frame], low = v !== null && v < one.low[k] - 1e-6, high = v !== null && v > one.high[k] + 1e-6;
        // a circle within the limits, a triangle that points beyond the one that is broken
        mark.setAttribute("d", low ? `M${x - r - 2},${y - r}h${2 * r + 4}l${-r - 2},${2 * r + 3}Z` : high ? `M${x - r - 2},${y + r}h${2 * r + 4}l${-r - 2},${-2 * r - 3}Z`
          : `M${x - r},${y}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`);
        mark.style.fill = css(voltageColour(v, one.low[k], one.high[k]));
        const chosen = state.place && state.place.network === net && state.place.of === "bus" && state.place.k === k;
        mark.setAttribute("class", `bus${low || high ? " beyond" : ""}${chosen ? " chosen" : ""}`);
      });
    });
  });
  figure.devices.filter(one => one.ports.length > 1).forEach(one => one.ports.slice(1).forEach((port, i) => {
    const [x1, y1] = spot(...one.ports[i]), [x2, y2] = spot(...port);
    svg("line", { x1, y1, x2, y2, class: "tie" }, ties);
  }));
  const there = new Map();
  const attach = (net, k, text) => there.set(`${net}/${k}`, [...(there.get(`${net}/${k}`) || []), text]);
  figure.devices.filter(one => !one.at).forEach(one => one.ports.forEach(([net, k]) => attach(net, k, one.name)));
  figure.stations.forEach(one => attach(one.network, one.bus, one.name));
  const trucks = figure.devices.filter(one => one.at).map((one, i) => {
    const mark = svg("g", { class: "truck" }, root);
    svg("rect", { x: -13, y: -7, width: 26, height: 14, rx: 3 }, mark);
    svg("text", { x: 0, y: 4, class: "tick middle" }, mark, fitted(one.name, 26));
    return () => {
      const [at, from] = [one.at[state.frame], one.from[state.frame]], known = figure.stations[at];
      mark.setAttribute("visibility", known ? "visible" : "hidden");
      if (!known) return;
      let [x, y] = spot(known.network, known.bus);
      const other = figure.stations[from];
      if (one.away[state.frame] && other) { const [a, b] = spot(other.network, other.bus); x = (x + a) / 2, y = (y + b) / 2; }
      mark.setAttribute("class", one.away[state.frame] ? "truck away" : "truck");
      mark.setAttribute("transform", `translate(${x - 28 * sharing(figure, one, i)},${y - 17})`);
    };
  });
  figure.stations.forEach(one => { const [x, y] = spot(one.network, one.bus); taken.push([x - 15, y - 26, x + 15, y - 8]); });
  for (const [key, names] of there) { const [net, k] = key.split("/").map(Number); label(...spot(net, k), names.join(" "), "tick device", w => [[-w / 2, 20], [-w + 8, 20], [-8, 20], [-w / 2, 33], [-w / 2, -9], [9, 4]]); }
  page.networks.forEach((one, net) => one.order.bus.forEach(k => {
    if (k === one.order.bus[0] || one.bus.length < 60) label(...spot(net, k), one.bus[k], "tick faint", w => [[-w / 2, -9], [-w / 2, 20]]);
  }));
  return () => { updates.forEach(update => update()), trucks.forEach(update => update()); };
}

// how many trucks before this one in the list are drawn at the same place
function sharing(figure, own, number) {
  return figure.devices.filter(one => one.at).slice(0, number).filter(one => one.at[state.frame] === own.at[state.frame] && one.away[state.frame] === own.away[state.frame]).length;
}

function noted(node, place, rows) {
  node.addEventListener("pointermove", event => note(event, spoken(state.frame), rows()));
  node.addEventListener("pointerleave", () => note());
  node.addEventListener("click", () => choose({ place }));
}

function deviceList(figure, box) {
  const table = html("table", "devices", box), head = html("tr", "", html("thead", "", table));
  ["device", "where", "power, MW", "does", "state of charge"].forEach(one => html("th", "", head, one));
  const body = html("tbody", "", table);
  const updates = figure.devices.map(one => {
    const row = html("tr", "", body), cells = [1, 2, 3, 4, 5].map(() => html("td", "", row));
    cells[0].textContent = one.name;
    return () => {
      const p = one.power ? one.power[state.frame] : null, soc = one.soc ? one.soc[state.frame] : null;
      const station = one.at && figure.stations[one.at[state.frame]];
      cells[1].textContent = station ? (one.away[state.frame] ? "on the way to " : "") + station.name
        : one.ports.map(([net, k]) => `${page.networks[net].name} ${page.networks[net].bus[k]}`).join(" – ");
      cells[2].textContent = p === null ? "–" : number(Math.abs(p));
      cells[3].textContent = p === null ? "" : p > 1e-9 ? "gives" : p < -1e-9 ? "takes" : "rests";
      cells[4].textContent = soc === null ? "" : number(soc);
    };
  });
  return () => updates.forEach(update => update());
}
