// The page comes to life: pictures in its order, the clock, links from violations to their spots, printing.
const DRAW = { map: drawMap, heat: drawHeat, lines: drawLines, gantt: drawGantt, points: drawPoints };

function clockBar(bar) {
  const [slider, play, shown, days] = ["slider", "play", "clock", "days"].map(name => bar.querySelector(`[data-part=${name}]`));
  slider.max = frames - 1;
  slider.addEventListener("input", () => choose({ frame: Number(slider.value) }));
  let timer = null;
  const stop = () => { clearInterval(timer), (timer = null), (play.textContent = "▶ play"); };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (state.frame >= state.to - 1) choose({ frame: state.from });
    play.textContent = "❚❚ pause";
    timer = setInterval(() => (state.frame + 1 >= state.to ? stop() : choose({ frame: state.frame + 1 })), 160);
  });
  const begins = moments.map((one, k) => (k === 0 || one.day !== moments[k - 1].day ? k : -1)).filter(k => k >= 0);
  if (begins.length > 1) {
    html("option", "", days, "all days").value = `0-${frames}`;
    begins.slice(0, 400).forEach((k, i) => (html("option", "", days, `${moments[k].weekday} ${moments[k].date}`).value = `${k}-${begins[i + 1] || frames}`));
    days.addEventListener("change", () => { const [from, to] = days.value.split("-").map(Number); choose({ from, to, frame: from }); });
  } else days.remove();
  const whole = bar.querySelector("[data-part=whole]");
  whole.addEventListener("click", () => { choose({ from: 0, to: frames }), (days.selectedIndex = 0); });
  const follow = () => {
    slider.value = state.frame, slider.setAttribute("aria-valuetext", spoken(state.frame)), (shown.textContent = spoken(state.frame));
    whole.hidden = state.from === 0 && state.to === frames;
  };
  followers.push(follow), follow();
}

document.addEventListener("click", event => {
  const link = event.target.closest("a[data-frame]");
  if (!link) return;
  const { frame, network, of, k } = link.dataset, at = Number(frame), outside = at < state.from || at >= state.to;
  choose({ frame: at, place: of ? { network: Number(network), of, k: Number(k) } : null, ...(outside ? { from: 0, to: frames } : {}) });
});

const waiting = [...document.querySelectorAll("[data-figure]")];
function drawNext(until) {
  while (waiting.length && performance.now() < until) {
    const box = waiting.shift(), figure = page.figures[box.dataset.figure];
    DRAW[figure.type](figure, box);
    performance.mark(box.dataset.figure);
  }
  if (waiting.length) setTimeout(() => drawNext(performance.now() + 30));
  else document.documentElement.dataset.drawn = "true";
}
if (frames) document.querySelectorAll(".clockbar").forEach(clockBar);
setTimeout(() => drawNext(performance.now() + 20));  // text and clock first; pictures follow in their order

let drawnAt = document.body.clientWidth;
const redraw = () => draws.forEach(draw => draw());
addEventListener("resize", () => { if (document.body.clientWidth !== drawnAt) (drawnAt = document.body.clientWidth), redraw(); });
addEventListener("beforeprint", () => {
  drawNext(Infinity);
  document.querySelectorAll("details").forEach(one => { one.dataset.was = one.open, (one.open = true); });
  document.body.classList.add("printing"), redraw();
});
addEventListener("afterprint", () => {
  document.querySelectorAll("details").forEach(one => { one.open = one.dataset.was === "true"; });
  document.body.classList.remove("printing"), redraw();
});
document.addEventListener("toggle", event => { if (event.target.open) redraw(); }, true);
