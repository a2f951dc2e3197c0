"use strict";
// What all pictures share: the data of the page, the time that is chosen, axes, hatches, the note at the pointer.
// Names from the run reach the page as text nodes and attributes only, never as markup.
const page = JSON.parse(document.getElementById("data").textContent);
const frames = page.times.length;
const state = { frame: page.frame || 0, from: 0, to: frames, place: null };
const draws = [];      // draw a picture again: at another width, in another window of time
const followers = [];  // follow the chosen time and place
const SVG = "http://www.w3.org/2000/svg";
const RIGHT = 14;

function svg(tag, attributes, parent, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function html(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function canvas(box, height, label) {
  const width = Math.max(box.clientWidth, 240);
  box.replaceChildren();
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img", "aria-label": label }, box);
  return [node, width];
}

const printing = () => document.body.classList.contains("printing");
const left = width => (width < 600 ? 58 : 84);
const number = value => (value === null || value === undefined || !isFinite(value) ? "–"
  : value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential(1) : (value || 0).toLocaleString("en", { maximumSignificantDigits: 5, useGrouping: Math.abs(value) >= 1e4 }));
const ruler = document.createElement("canvas").getContext("2d");
const extent = (text, weight = "normal") => { ruler.font = `${weight} 12px system-ui, sans-serif`; return ruler.measureText(text).width; };
const fitted = (text, width) => {
  if (extent(text) <= width) return text;
  let end = text.length - 1;
  while (end > 1 && extent(text.slice(0, end) + "…") > width) end--;
  return text.slice(0, end) + "…";
};

// ---------------------------------------------------------------- time

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const WEEKDAYS = "Sun Mon Tue Wed Thu Fri Sat".split(" ");
function moment(frame) {
  const [, y, m, d, h, min] = page.times[Math.min(frame, frames - 1)].match(/(\d+)-(\d+)-(\d+).(\d+):(\d+)/).map(Number);
  const date = Date.UTC(y, m - 1, d);
  return { day: date / 864e5, minute: h * 60 + min, date: `${d} ${MONTHS[m - 1]}`, weekday: WEEKDAYS[new Date(date).getUTCDay()],
    clock: `${String(h).padStart(2, "0")}:${String(min).padStart(2, "0")}` };
}
const moments = page.times.map((_, frame) => moment(frame));
const spoken = frame => `${moments[frame].weekday} ${moments[frame].date}, ${moments[frame].clock}`;

const EVERY = [15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 43200, 129600];
function timeAxis(root, width, top, bottom) {
  const begin = left(width), room = width - begin - RIGHT, shown = state.to - state.from;
  const x = frame => begin + ((frame - state.from) / shown) * room;
  const bucket = (frame, every) => Math.floor((moments[frame].day * 1440 + moments[frame].minute) / every);
  const ticksOf = every => {
    const found = [];
    for (let k = state.from; k < state.to; k++)
      if (k === state.from ? moments[k].minute % every === 0 || every > 1440 : bucket(k, every) !== bucket(k - 1, every)) found.push(k);
    return found;
  };
  const ticks = EVERY.map(ticksOf).find((found, i) => found.length * (EVERY[i] >= 1440 ? 52 : 44) <= room) || [state.from];
  let day = null;
  ticks.forEach((k, i) => {
    svg("line", { x1: x(k), x2: x(k), y1: top, y2: bottom, class: "grid" }, root);
    const end = x(k) + 22 > width, whole = ticks.length > 1 && bucket(ticks[1], 1440) !== bucket(ticks[0], 1440) && moments[k].minute === 0;
    svg("text", { x: x(k), y: bottom + 15, class: end ? "tick end" : "tick middle" }, root, whole ? moments[k].date : moments[k].clock);
    if (!whole && moments[k].day !== day && (i === 0 || moments[k].minute === 0)) {
      svg("text", { x: x(k), y: bottom + 29, class: end ? "tick end" : "tick middle" }, root, moments[k].date);
      day = moments[k].day;
    }
  });
  return x;
}

function nice(low, high, count) {
  const raw = (high - low) / Math.max(count, 1) || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map(one => one * power).find(one => one >= raw * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found;
}

// a line at the chosen time; a click chooses another, dragging a window of time
function interactive(root, width, top, bottom, x, lines) {
  const cursor = svg("line", { y1: top, y2: bottom, class: "cursor" }, root);
  const follow = () => {
    const middle = x(state.frame + 0.5), inside = state.frame >= state.from && state.frame < state.to;
    cursor.setAttribute("x1", middle), cursor.setAttribute("x2", middle);
    cursor.setAttribute("visibility", inside ? "visible" : "hidden");
  };
  const area = svg("rect", { x: left(width), y: top, width: width - left(width) - RIGHT, height: bottom - top, class: "area" }, root);
  const band = svg("rect", { y: top, height: bottom - top, class: "band", visibility: "hidden" }, root);
  const scale = () => root.getBoundingClientRect().width / width || 1;
  const local = event => { const box = root.getBoundingClientRect(); return [(event.clientX - box.left) / scale(), (event.clientY - box.top) / scale()]; };
  const at = px => Math.min(state.to - 1, Math.max(state.from, Math.floor(state.from + ((px - left(width)) / (width - left(width) - RIGHT)) * (state.to - state.from))));
  let begun = null;
  area.addEventListener("pointerdown", event => { begun = local(event)[0]; });
  area.addEventListener("pointermove", event => {
    const [px, py] = local(event), frame = at(px);
    const found = lines(frame, py, px);
    found ? note(event, found.head || spoken(frame), found.rows || found) : note();
    if (begun !== null && event.pointerType === "mouse" && Math.abs(px - begun) > 8) {
      band.setAttribute("x", Math.min(px, begun)), band.setAttribute("width", Math.abs(px - begun)), band.setAttribute("visibility", "visible");
    }
  });
  area.addEventListener("pointerleave", () => { note(); begun = null; band.setAttribute("visibility", "hidden"); });
  area.addEventListener("pointerup", event => {
    const [px, py] = local(event), a = Math.min(at(px), at(begun ?? px)), b = Math.max(at(px), at(begun ?? px));
    if (begun !== null && event.pointerType === "mouse" && Math.abs(px - begun) > 8 && b - a >= 2) choose({ from: a, to: b + 1, frame: a });
    else { const found = lines(at(px), py, px); choose({ frame: at(px), ...(found && found.place ? { place: found.place } : {}) }); }
    begun = null;
  });
  follow();
  return follow;
}

function choose(change) {
  const window = "from" in change && (change.from !== state.from || change.to !== state.to);
  Object.assign(state, change);
  if (window) draws.forEach(draw => draw());
  followers.forEach(follow => follow());
}

const pointerNote = html("div", "note", document.body);
pointerNote.hidden = true;
function note(event, head, rows) {
  pointerNote.hidden = !event;
  if (!event) return;
  pointerNote.replaceChildren();
  html("strong", "", pointerNote, head);
  rows.slice(0, 12).forEach(row => html("div", "", pointerNote, row));
  const box = pointerNote.getBoundingClientRect();
  pointerNote.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
  pointerNote.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
}

// ---------------------------------------------------------------- colours and hatches

function mixed(stops, t) {
  const k = Math.max(0, stops.findIndex(one => one[0] >= t) < 0 ? stops.length - 1 : stops.findIndex(one => one[0] >= t));
  if (k === 0 || t >= stops[stops.length - 1][0]) return stops[k === 0 ? 0 : stops.length - 1].slice(1);
  const [a, b] = [stops[k - 1], stops[k]], share = (t - a[0]) / (b[0] - a[0]);
  return [1, 2, 3].map(i => Math.round(a[i] + (b[i] - a[i]) * share));
}
// -1 and 1 are the limits; blue and orange differ for everyone, and what is beyond a limit is hatched as well
const DIVERGING = [[-1.8, 8, 48, 107], [-1, 66, 146, 198], [0, 247, 247, 247], [1, 253, 174, 97], [1.8, 140, 45, 4]];
const SEQUENTIAL = [[0, 240, 238, 246], [0.5, 173, 165, 212], [1, 106, 81, 163], [1.5, 45, 0, 75]];
const MISSING = [150, 150, 150];
const css = rgb => `rgb(${rgb.join(",")})`;
const voltageColour = (value, low, high) => (value === null ? MISSING : mixed(DIVERGING, (2 * value - low - high) / (high - low)));
const loadingColour = (value, limit) => (value === null ? MISSING : mixed(SEQUENTIAL, value / limit));

const HATCHES = { up: "M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4", down: "M-2,6 l4,4 M0,0 l8,8 M6,-2 l4,4", cross: "M0,0 l8,8 M0,8 l8,-8",
  flat: "M0,2 h8 M0,6 h8", upright: "M2,0 v8 M6,0 v8", dots: "M2,2 h1.6 M6,6 h1.6" };
const shared = svg("svg", { width: 0, height: 0, class: "patterns", "aria-hidden": "true" }, document.body);
for (const [name, d] of Object.entries(HATCHES)) {
  const pattern = svg("pattern", { id: `hatch-${name}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" }, shared);
  svg("path", { d, class: name === "dots" ? "hatch dots" : "hatch" }, pattern);
}

function legend(box, entries) {
  const list = html("ul", "legend", box);
  for (const one of entries) {
    const entry = html("li", "", list), mark = svg("svg", { width: 26, height: 14, "aria-hidden": "true", "data-state": one.name }, entry);
    if (one.fill) {
      svg("rect", { width: 26, height: 14, style: `fill:${one.fill}`, class: "bar" }, mark);
      if (one.hatch) svg("rect", { width: 26, height: 14, fill: `url(#hatch-${one.hatch})` }, mark);
    } else svg("path", { d: "M0,7 H26", class: `line ${one.class || ""}`, style: `stroke:${one.colour}` }, mark);
    html("span", "", entry, one.name);
  }
  return list;
}
