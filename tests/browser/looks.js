// How a page looks, for tests of it in a browser.
window.looks = {
  seen: one => one.getBoundingClientRect().width > 0 && !one.closest(".patterns, script, style"),

  // texts of pictures that lie over one another, or stand out of the window
  overlapping: () => [...document.querySelectorAll("[data-figure] svg")].flatMap(root => {
    const boxes = [...root.querySelectorAll("text")].filter(looks.seen).map(one => [one.textContent, one.getBoundingClientRect()]);
    const found = boxes.filter(([, a]) => a.left < -1 || a.right > innerWidth + 1).map(([one]) => `${one} is outside`);
    boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
      if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
        found.push(`${root.closest("figure").id}: ${one} over ${other}`);
    }));
    return found;
  }),

  // what is wider than the window; tables and code may be scrolled
  overflowing: () => [...document.querySelectorAll("body *")].filter(looks.seen)
    .filter(one => !one.closest(".wide, pre") && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80)),

  // texts of less than 12 px
  small: () => [...document.querySelectorAll("body *")].filter(looks.seen)
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())).map(one => {
      const root = one.ownerSVGElement, scale = root ? root.getBoundingClientRect().width / root.viewBox.baseVal.width : 1;
      return [parseFloat(getComputedStyle(one).fontSize) * scale, one.textContent.slice(0, 40)];
    }).filter(([size]) => size < 11.9),

  // put marks at the top and at the end of every picture, whenever it is drawn
  mark: () => draws.push(() => document.querySelectorAll("[data-figure] svg").forEach((root, i) => {
    svg("text", { x: 0, y: 10 }, root, `TOP${i}E`);
    svg("text", { x: 0, y: root.viewBox.baseVal.height - 1 }, root, `END${i}E`);
  })),

  // add a legend of states to the page
  legend: states => {
    const box = html("div", "", document.body);
    box.id = "marks";
    legend(box, states.map(one => ({ ...one, fill: `var(--${one.fill})` })));
  },

  // pixels of the marks of that legend in a picture of it
  pixels: async png => {
    const image = new Image(), canvas = document.createElement("canvas");
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    canvas.width = image.width, canvas.height = image.height;
    const context = canvas.getContext("2d", { willReadFrequently: true }), outer = document.getElementById("marks").getBoundingClientRect();
    context.drawImage(image, 0, 0);
    return [...document.querySelectorAll("#marks svg")].map(one => one.getBoundingClientRect()).map(box =>
      [...context.getImageData(Math.round(box.left - outer.left) + 1, Math.round(box.top - outer.top) + 1, 24, 12).data].filter((_, i) => i % 4 < 3));
  },
};
