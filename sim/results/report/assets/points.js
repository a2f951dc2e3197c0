// Runs or rows as points: seeds beside one another, cost against reliability, a swept setting beside what was published.
const SHAPES = [r => `M${-r},0a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`, r => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}Z`,
  r => `M0,${-1.3 * r}L${1.2 * r},${r}H${-1.2 * r}Z`, r => `M0,${-1.4 * r}L${1.4 * r},0L0,${1.4 * r}L${-1.4 * r},0Z`, r => `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`];

function drawPoints(figure, box) {
  const list = html("ul", "legend", box), plot = html("div", "", box);
  figure.series.forEach((one, k) => {
    const entry = html("li", "", list), mark = svg("svg", { width: 26, height: 14, "aria-hidden": "true" }, entry);
    if (one.line) svg("path", { d: "M0,7H26", class: "line", style: `stroke:${colourOf(one)}` }, mark);
    svg("path", { d: SHAPES[k % 5](4), transform: "translate(13,7)", class: "mark", style: `stroke:${colourOf(one)}` }, mark);
    html("span", "", entry, one.name);
  });
  const draw = () => {
    const height = 300, [root, width] = canvas(plot, height, figure.label), begin = left(width), top = GAP, bottom = height - 52;
    const points = figure.series.flatMap(one => one.points), spread = values => {
      const low = Math.min(...values), high = Math.max(...values), more = (high - low || Math.abs(high) * 0.1 || 1) * 0.08;
      return [low - more, high + more];
    };
    const [x0, x1] = figure.names ? [-0.5, figure.names.length - 0.5] : spread(points.map(one => one[0])), [y0, y1] = spread(points.map(one => one[1]));
    const x = value => begin + ((value - x0) / (x1 - x0)) * (width - begin - RIGHT), y = value => bottom - ((value - y0) / (y1 - y0)) * (bottom - top);
    for (const value of nice(y0, y1, 5)) {
      svg("line", { x1: begin, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }, root);
      svg("text", { x: begin - 6, y: y(value) + 4, class: "tick end" }, root, number(value));
    }
    const room = (width - begin - RIGHT) / (figure.names ? figure.names.length : 1);
    if (figure.names) figure.names.forEach((name, k) => svg("text", { x: x(k), y: bottom + 16, class: "tick middle" }, root, fitted(name, room - 4)));
    else for (const value of nice(x0, x1, Math.max(2, Math.min(6, width / 120)))) svg("text", { x: x(value), y: bottom + 16, class: "tick middle" }, root, number(value));
    svg("line", { x1: begin, x2: width - RIGHT, y1: bottom, y2: bottom, class: "zero" }, root);
    svg("text", { x: begin, y: top - 9, class: "unit" }, root, fitted(figure.y, width - begin));
    svg("text", { x: width - RIGHT, y: bottom + 36, class: "unit end" }, root, fitted(figure.x, width - begin));
    figure.series.forEach((one, k) => {
      if (one.line) svg("path", { d: one.points.map(([a, b], i) => `${i ? "L" : "M"}${x(a)},${y(b)}`).join(""), class: "line", style: `stroke:${colourOf(one)}` }, root);
      one.points.forEach(([a, b, label]) => {
        const mark = svg("path", { d: SHAPES[k % 5](5), transform: `translate(${x(a)},${y(b)})`, class: "mark", style: `stroke:${colourOf(one)}` }, root);
        mark.addEventListener("pointermove", event => note(event, one.name, [label || "", `${figure.x}: ${figure.names ? figure.names[Math.round(a)] : number(a)}`, `${figure.y}: ${number(b)}`]));
        mark.addEventListener("pointerleave", () => note());
      });
    });
  };
  draws.push(draw);
  draw();
}
