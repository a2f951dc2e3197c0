// What stands where, and does what, over time.
function drawGantt(figure, box) {
  legend(box, figure.states.map(one => ({ ...one, fill: `var(--${one.fill})` })));
  const plot = html("div", "", box), EACH = 34, BAR = 24;
  let follow = () => {};
  const draw = () => {
    const height = figure.rows.length * EACH + 6 + AXIS, [root, width] = canvas(plot, height, figure.label), begin = left(width), bottom = height - AXIS;
    const x = timeAxis(root, width, 4, bottom);
    figure.rows.forEach((name, row) => svg("text", { x: begin - 6, y: 6 + row * EACH + 17, class: "tick end" }, root, fitted(name, begin - 8)));
    for (const [row, from, to, which, text] of figure.bars) {
      const a = Math.max(from, state.from), b = Math.min(to, state.to), one = figure.states[which];
      if (b <= a) continue;
      const place = { x: x(a), y: 6 + row * EACH, width: Math.max(1, x(b) - x(a)), height: BAR };
      svg("rect", { ...place, style: `fill:var(--${one.fill})`, class: "bar" }, root);
      if (one.hatch) svg("rect", { ...place, fill: `url(#hatch-${one.hatch})` }, root);
      if (extent(text) + 12 <= place.width) {
        svg("rect", { x: place.x + 3, y: place.y + 4, width: extent(text) + 6, height: 16, rx: 3, class: "plate" }, root);
        svg("text", { x: place.x + 6, y: place.y + 16, class: "tick" }, root, text);
      }
    }
    follow = interactive(root, width, 4, bottom, x, (frame, py) => {
      const row = Math.floor((py - 6) / EACH), found = figure.bars.find(one => one[0] === row && one[1] <= frame && frame < one[2]);
      return found ? { head: `${figure.rows[row]}, ${spoken(frame)}`, rows: [`${figure.states[found[3]].name}${found[4] ? ": " + found[4] : ""}`, `from ${spoken(found[1])}`] } : null;
    });
  };
  draws.push(draw), followers.push(() => follow());
  draw();
}
