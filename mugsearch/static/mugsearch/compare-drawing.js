// The comparison screen, what is drawn on the two photographs for the components of the worksheet: points and regions, by
// pointer or by keys. They are notes: nothing is measured. Loaded before compare.js, which starts it.
// `drawn` of a component: up to 8 marks, each {probe, candidate} or one of the two, under the number of its place. A point is
// [x, y], a region [x, y, width, height], the ellipse in this box: shares of the sides of the photograph, of four digits.
(window.mugsearchCompare ??= {}).drawing = (page) => {
  "use strict";

  const { root, $, $$, say, view, worksheet, changed, ready, original } = page;
  const readOnly = root.hasAttribute("data-locked");
  const panes = [view.probe, view.candidate];
  const MOST = 8;
  const STEP = 6; // CSS pixels on the screen: zoom in to draw finer
  const DRAG = 6; // what moves less is a click
  const bar = $("[data-drawing]");
  const note = $("[data-drawn-note]");
  let on = false;
  let shown = true;
  let byKeys = true; // the cross is not shown while a pointer is used
  let gesture = null; // {pane, pointer, from, to}, in CSS pixels of the pane

  const clamp = (value) => Math.min(1, Math.max(0, value));
  const digits = (value) => Math.round(value * 1e4) / 1e4;
  // Marks are places on the original: on an edit of the probe, which is shown in its place, they would be elsewhere.
  const isEdit = () => view.probe.element.classList.contains("is-edit");
  const visible = (pane) => shown && pane.fit > 0 && (pane === view.probe ? !isEdit() : ready());
  const titled = (row, number) => `${row.label} ${number}`;

  // ------------------------------------------------------------ between the photograph and the screen: as compare-view.js draws it

  function scales(pane) {
    const { naturalWidth, naturalHeight } = view.picture(pane);
    const scale = pane.fit * pane.zoom;
    const angle = (pane.turn * Math.PI) / 180;
    return { across: naturalWidth * scale * (pane.flip ? -1 : 1), down: naturalHeight * scale, cos: Math.cos(angle), sin: Math.sin(angle) };
  }

  function toScreen(pane, [x, y]) {
    const { across, down, cos, sin } = scales(pane);
    const [right, below] = [(x - 0.5) * across, (y - 0.5) * down];
    return { x: pane.view.clientWidth / 2 + pane.x + right * cos - below * sin, y: pane.view.clientHeight / 2 + pane.y + right * sin + below * cos };
  }

  /** Shares of the photograph's sides; outside of it they are below 0 or above 1. */
  function toShares(pane, { x, y }) {
    const { across, down, cos, sin } = scales(pane);
    const [right, below] = [x - pane.view.clientWidth / 2 - pane.x, y - pane.view.clientHeight / 2 - pane.y];
    return [(right * cos + below * sin) / across + 0.5, (below * cos - right * sin) / down + 0.5];
  }

  // ------------------------------------------------------------ what is seen

  const SVG = "http://www.w3.org/2000/svg";
  const layers = new Map(
    panes.map((pane) => {
      const layer = document.createElementNS(SVG, "svg");
      layer.setAttribute("class", "drawn");
      layer.setAttribute("aria-hidden", "true");
      pane.view.after(layer); // the photograph inside the view is replaced with every candidate
      pane.follow = () => redraw();
      return [pane, layer];
    }),
  );

  function part(name, attributes, within, text = "") {
    const element = document.createElementNS(SVG, name);
    for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
    element.textContent = text;
    within.append(element);
    return element;
  }

  /** A shape with its halo; the name stands upright above it, however the photograph is turned. */
  function outline(pane, shape, name, kind) {
    const group = part("g", { class: `drawn__mark ${kind}`, "data-mark": name }, layers.get(pane));
    const [x, y, width, height] = shape;
    const middle = toScreen(pane, width ? [x + width / 2, y + height / 2] : [x, y]);
    let above = 7;
    if (width) {
      const { across, down, cos, sin } = scales(pane);
      const [rx, ry] = [Math.abs(width * across) / 2, (height * down) / 2];
      const place = { cx: middle.x, cy: middle.y, rx, ry, transform: `rotate(${pane.turn} ${middle.x} ${middle.y})` };
      part("ellipse", { ...place, class: "drawn__halo" }, group);
      part("ellipse", place, group);
      above = Math.hypot(rx * sin, ry * cos);
    } else {
      part("circle", { cx: middle.x, cy: middle.y, r: 5, class: "drawn__halo" }, group);
      part("circle", { cx: middle.x, cy: middle.y, r: 5 }, group);
      part("circle", { cx: middle.x, cy: middle.y, r: 1, class: "drawn__dot" }, group);
    }
    if (name) part("text", { x: middle.x, y: middle.y - above - 6 }, group, name);
    return group;
  }

  function crossing(pane) {
    const shape = inSight(pane);
    const group = outline(pane, shape, "", "drawn__cursor");
    const { x, y } = toScreen(pane, centre(shape));
    for (const kind of ["drawn__halo", ""]) part("path", { d: `M${x - 12} ${y}H${x + 12}M${x} ${y - 12}V${y + 12}`, class: kind }, group);
  }

  function redraw() {
    // One photograph lies over the other: which one would be drawn on? And on an edit nothing is drawn.
    if (on && (view.aid() || isEdit())) stop();
    const here = worksheet.component();
    for (const [pane, layer] of layers) {
      layer.replaceChildren();
      if (!visible(pane)) continue;
      for (const row of worksheet.rows) {
        row.marks.forEach((mark, at) => mark[pane.name] && outline(pane, mark[pane.name], titled(row, at + 1), row === here ? "is-current" : ""));
      }
      if (gesture?.pane === pane) outline(pane, shapeOf(gesture), "", "is-current");
      else if (on && byKeys && pane === view.chosen()) crossing(pane);
    }
    note.hidden = !worksheet.rows.some((row) => row.marks.length);
    $("[data-drawing-name]").textContent = here.label;
    list(here);
  }

  // ------------------------------------------------------------ the list under a component, from which each is removed

  function list(here) {
    for (const row of worksheet.rows) {
      const button = $("[data-draw]", row.element);
      if (button) button.dataset.count = row.marks.length || "";
      const wanted = row === here ? JSON.stringify(row.marks) : "";
      const chips = $("[data-marks]", row.element);
      if ((chips.dataset.of ?? "") === wanted) continue; // a photograph that moves changes no list
      chips.dataset.of = wanted;
      chips.replaceChildren();
      if (row === here) row.marks.forEach((mark, at) => panes.filter((pane) => mark[pane.name]).forEach((pane) => chips.append(chip(row, at, pane))));
    }
  }

  function chip(row, at, pane) {
    const item = document.createElement("li");
    const button = document.createElement(readOnly ? "span" : "button");
    button.className = "worksheet__mark";
    button.textContent = `${at + 1} ${pane.name}`;
    item.append(button);
    if (readOnly) return item;
    button.type = "button";
    button.textContent += " ×";
    button.setAttribute("aria-label", `Remove ${titled(row, at + 1)} from the ${pane.name}`);
    button.addEventListener("click", () => {
      remove(row, at, pane);
      ($("[data-marks] button", row.element) ?? $("[data-draw]", row.element)).focus(); // the one that was pressed is gone
    });
    return item;
  }

  // ------------------------------------------------------------ setting and removing

  function write(row, marks, said) {
    row.marks = marks;
    changed();
    redraw();
    say(said);
  }

  /** Under the first number that is free on this photograph: so what is drawn on the other one finds its counterpart. */
  function set(pane, shape) {
    const row = worksheet.component();
    const free = row.marks.findIndex((mark) => !mark[pane.name]);
    const at = free < 0 ? row.marks.length : free;
    if (at === MOST) return say(`At most ${MOST} marks for one component.`);
    const marks = [...row.marks];
    marks[at] = { ...marks[at], [pane.name]: shape };
    write(row, marks, `${titled(row, at + 1)}, a ${shape.length === 2 ? "point" : "region"} on the ${pane.name}`);
  }

  function remove(row, at, pane) {
    const rest = { ...row.marks[at] };
    delete rest[pane.name];
    const marks = row.marks.map((mark, place) => (place === at ? rest : mark)).filter((mark) => Object.keys(mark).length);
    write(row, marks, `${titled(row, at + 1)} removed from the ${pane.name}`);
  }

  function takeBack() {
    const [row, pane] = [worksheet.component(), view.chosen()];
    const at = row.marks.map((mark) => Boolean(mark[pane.name])).lastIndexOf(true);
    if (at < 0) return say(`Nothing is drawn for ${row.label.toLowerCase()} on the ${pane.name}.`);
    remove(row, at, pane);
  }

  /** From one corner to the other, cut to the photograph; null where nothing of it is on the photograph. */
  function box(one, other) {
    const [left, right] = [one[0], other[0]].sort((a, b) => a - b).map((at) => digits(clamp(at)));
    const [top, bottom] = [one[1], other[1]].sort((a, b) => a - b).map((at) => digits(clamp(at)));
    const [width, height] = [digits(right - left), digits(bottom - top)];
    return width > 0 && height > 0 ? [left, top, width, height] : null;
  }

  // ------------------------------------------------------------ by pointer

  const stage = $("[data-stage]");
  const at = (pane, event) => {
    const edges = pane.view.getBoundingClientRect();
    return { x: event.clientX - edges.left, y: event.clientY - edges.top };
  };

  function shapeOf({ pane, from, to }) {
    const [one, other] = [toShares(pane, from), toShares(pane, to)];
    const region = Math.hypot(to.x - from.x, to.y - from.y) >= DRAG && box(one, other);
    return region || one.map((share) => digits(clamp(share)));
  }

  // Before compare-view.js sees it. The wheel and the middle button go on moving the photograph.
  stage.addEventListener("pointerdown", (event) => {
    const pane = panes.find((one) => one.view.contains(event.target));
    if (!on || !pane || event.button !== 0) return;
    event.stopPropagation();
    if (gesture || !event.isPrimary) return;
    view.choose(pane);
    if (!visible(pane)) return say("Wait until the photograph is shown.");
    pane.view.setPointerCapture(event.pointerId);
    gesture = { pane, pointer: event.pointerId, from: at(pane, event), to: at(pane, event) };
    byKeys = false;
    redraw();
  }, true);
  stage.addEventListener("pointermove", (event) => {
    if (gesture?.pointer !== event.pointerId) return;
    gesture.to = at(gesture.pane, event);
    redraw();
  });
  stage.addEventListener("pointerup", (event) => {
    if (gesture?.pointer !== event.pointerId) return;
    const done = gesture;
    gesture = null;
    const shape = shapeOf(done);
    const outside = shape.length === 2 && toShares(done.pane, done.from).some((share) => share < 0 || share > 1);
    if (outside) redraw(), say("That is outside the photograph.");
    else set(done.pane, shape);
  });
  for (const kind of ["pointercancel", "lostpointercapture"]) {
    stage.addEventListener(kind, (event) => {
      if (gesture?.pointer !== event.pointerId) return;
      gesture = null;
      redraw();
    });
  }
  stage.addEventListener("dblclick", (event) => on && event.stopPropagation(), true);

  // ------------------------------------------------------------ by keys: a cross, moved and sized in steps of the screen

  const crosses = new Map(panes.map((pane) => [pane, [0.5, 0.5]])); // a shape each
  const centre = ([x, y, width = 0, height = 0]) => [x + width / 2, y + height / 2];

  /** The cross of this photograph; where it is out of sight it comes to the middle. */
  function inSight(pane) {
    const { clientWidth, clientHeight } = pane.view;
    const { x, y } = toScreen(pane, centre(crosses.get(pane)));
    const seen = x >= 0 && y >= 0 && x <= clientWidth && y <= clientHeight;
    if (!seen) crosses.set(pane, toShares(pane, { x: clientWidth / 2, y: clientHeight / 2 }).map(clamp));
    return crosses.get(pane);
  }

  /** A box of this size in shares round the point, wholly on the photograph. */
  const round = ([x, y], [width, height]) => [Math.min(1 - width, Math.max(0, x - width / 2)), Math.min(1 - height, Math.max(0, y - height / 2)), width, height];

  function move(right, down) {
    const pane = view.chosen();
    const cross = inSight(pane);
    const { x, y } = toScreen(pane, centre(cross));
    const [, , width, height] = cross;
    const to = toShares(pane, { x: x + right * STEP, y: y + down * STEP }).map(clamp);
    crosses.set(pane, width ? round(to, [width, height]) : to);
    redraw();
  }

  function resize(wider, taller) {
    const pane = view.chosen();
    const cross = inSight(pane);
    const { across, down } = scales(pane);
    const step = [(2 * STEP) / Math.abs(across), (2 * STEP) / down];
    const onItsSide = Math.round(pane.turn / 90) % 2 !== 0;
    const [by, along] = onItsSide ? [-taller, wider] : [wider, -taller];
    const [, , width, height] = cross;
    const size = width ? [width + by * step[0], height + along * step[1]] : [2 * step[0], 2 * step[1]];
    const isPoint = size.some((side, axis) => side < step[axis] * 0.99) || (!width && by + along < 0);
    crosses.set(pane, isPoint ? centre(cross) : round(centre(cross), size.map((side) => Math.min(1, side))));
    redraw();
  }

  function place() {
    const pane = view.chosen();
    if (!visible(pane)) return say("Wait until the photograph is shown.");
    const [x, y, width, height] = inSight(pane);
    const region = width && box([x, y], [x + width, y + height]);
    set(pane, region || [digits(x), digits(y)]);
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const PAGES = { PageUp: -1, PageDown: 1 };

  /** Whether a key was for drawing. */
  function key({ key: name, shiftKey, repeat, target }) {
    if (!on) return false;
    if (name === "Escape") return stop(), true;
    if (target.closest("input, label, summary")) return false;
    if (target.closest("button, a") && !ARROWS[name] && !PAGES[name]) return false; // they have keys of their own
    byKeys = true;
    const rows = worksheet.rows;
    if (ARROWS[name]) (shiftKey ? resize : move)(...ARROWS[name]);
    else if (PAGES[name]) worksheet.goTo(rows.at((rows.indexOf(worksheet.component()) + PAGES[name]) % rows.length)), say(worksheet.component().label);
    else if (name === "Enter") repeat || place();
    else if (name === "Backspace") repeat || takeBack();
    else return false;
    return true;
  }

  // ------------------------------------------------------------ beginning and ending

  function tell() {
    root.classList.toggle("is-drawing", on);
    bar.hidden = !on;
    $('[data-do="drawings"]').setAttribute("aria-pressed", String(shown));
    redraw();
  }

  function start() {
    if (readOnly) return say("This examination is concluded.");
    if (!ready()) return say("Wait until the photograph is shown.");
    if (view.aid()) view.setAid(view.aid());
    original();
    on = shown = true;
    if (!worksheet.isOpen()) worksheet.open();
    const pane = view.chosen();
    pane.view.focus();
    byKeys = true;
    tell();
    say(`Drawing, ${worksheet.component().label}, on the ${pane.name}. Arrows move the cross, Shift and arrows size it, Enter sets it, A takes the other photograph, Escape ends.`);
  }

  function stop() {
    if (!on) return;
    on = false;
    gesture = null;
    tell();
    say("Drawing ended");
  }

  for (const row of worksheet.rows) {
    const button = $("[data-draw]", row.element);
    // With the focus the row would open and the one before it close, so that the button is gone before it is let go.
    button?.addEventListener("mousedown", (event) => event.preventDefault());
    button?.addEventListener("click", () => {
      worksheet.goTo(row);
      start();
    });
  }
  const sheet = $("[data-worksheet]");
  sheet.addEventListener("toggle", () => sheet.open || stop());

  const act = {
    draw: () => (on ? stop() : start()),
    drawings: () => {
      shown = !shown;
      tell();
      say(shown ? "Drawings are shown" : "Drawings are hidden");
    },
  };

  return { act, key, redraw, stop };
};
