// The comparison screen: template reviews_compare_stage.html, styles compare.css. Plain scripts, in this order:
//   compare-view.js       the view of the two photographs
//   compare-worksheet.js  the worksheet behind a positive conclusion
//   compare-outdated.js   choosing where another window has saved something else
//   compare-drawing.js    what is drawn on the photographs for its components
//   compare-findings.js   saving and marking what the examiner concludes
//   compare-edits.js      edits of the probe in its place, marked as such
//   compare.js            the candidates, the keys, the start
// The server sends this examiner's own order of candidates and nothing else about them.
(() => {
  "use strict";

  const root = document.querySelector("[data-compare]");
  const parts = window.mugsearchCompare;
  if (!root || !parts?.view || !parts.worksheet || !parts.outdated || !parts.drawing || !parts.findings || !parts.edits) return; // a part that did not load leaves the page as it is without script

  const $ = (selector, within = root) => within.querySelector(selector);
  const $$ = (selector, within = root) => [...within.querySelectorAll(selector)];

  root.classList.add("is-live");
  for (const one of $$("[data-needs-script]")) one.hidden = false;
  for (const one of $$("[data-script-hides]")) one.hidden = true;

  const live = $("[data-live]");
  const say = (text) => {
    live.textContent = "";
    requestAnimationFrame(() => (live.textContent = text));
  };

  const view = parts.view({ root, $, $$, say });
  const { NEUTRAL, probe, candidate, picture, draw, drawAll, act } = view;
  const edits = parts.edits({ $, $$, say, view });

  // ============================================================ candidates

  const items = $$("[data-candidate]").map((element) => {
    const { candidate: position, image: url, finding = "", notes = "", sheet: told = "{}", savedAt: saved_at = "" } = element.dataset;
    const sheet = JSON.parse(told);
    // `saved` is what is stored as far as this window knows, at no time if nothing is; `sent` is what may be stored
    // because its answer hasn't arrived.
    return { element, position, url, finding, notes, sheet, saved: { conclusion: finding, notes, sheet, saved_at }, sent: [] };
  });
  const places = $$(".filmstrip > li").length;
  const strip = $(".filmstrip");
  const form = $("[data-finding-form]");
  const radios = $$("input[name=conclusion]", form);
  const notes = $("textarea[name=notes]", form);
  const labelOf = (finding) => radios.find((radio) => radio.value === finding)?.closest("label").querySelector("[data-label]").textContent ?? "";

  const focusOnView = () => candidate.view.focus();
  const changed = () => findings.changed();
  const ready = () => page.shown === page.current;
  const worksheet = parts.worksheet({ $, $$, say, focusOnView, changed, ready, drawn: () => drawing.redraw() });
  const drawing = parts.drawing({ root, $, $$, say, view, worksheet, changed, ready, original: edits.original });
  Object.assign(act, drawing.act);
  const page = {
    root,
    $,
    say,
    items,
    form,
    radios,
    notes,
    worksheet,
    outdated: parts.outdated({ $, $$, labelOf }),
    labelOf,
    nextOpen,
    fill,
    focusOnView,
    original: edits.original,
    current: items.find((item) => item.element.hasAttribute("aria-current")) ?? items[0],
    shown: null, // the item whose photograph is on the screen, decoded; nothing is concluded on another
  };

  // Decoded images of the neighbours are kept as elements and put into the page as they are: no flash, no second decoding.
  const images = new Map();
  function load(item) {
    if (!images.has(item.url)) {
      const image = new Image();
      image.draggable = false;
      image.src = item.url;
      const ready = image.decode().catch((fault) => {
        if (images.get(item.url)?.image === image) images.delete(item.url);
        throw fault;
      });
      ready.catch(() => {});
      images.set(item.url, { image, ready });
    }
    return images.get(item.url);
  }

  const at = (item, step) => items[items.indexOf(item) + step];

  function keepNeighbours() {
    const near = [0, 1, -1, 2].map((step) => at(page.current, step)).filter(Boolean);
    near.slice(0, 3).forEach(load);
    const keep = new Set(near.map((item) => item.url));
    for (const url of images.keys()) if (!keep.has(url) && images.size > 5) images.delete(url);
  }

  const wait = $("[data-wait]");
  const again = $("[data-retry]");

  async function showImage(item) {
    page.shown = null;
    const { image, ready } = load(item);
    const slow = setTimeout(() => {
      if (page.current !== item) return;
      $("[data-wait-text]").textContent = "Loading…";
      wait.hidden = false;
      again.hidden = true;
    }, 120);
    picture(candidate)?.classList.add("is-waiting"); // never the last photograph under the next number
    try {
      await ready;
    } catch {
      clearTimeout(slow);
      if (page.current !== item) return;
      $("[data-wait-text]").textContent = "The photograph could not be loaded.";
      wait.hidden = again.hidden = false;
      say("The photograph could not be loaded.");
      return;
    }
    clearTimeout(slow);
    if (page.current !== item) return;
    wait.hidden = true;
    image.className = "";
    image.alt = `Candidate ${item.position}`;
    candidate.fit = 0;
    candidate.view.replaceChildren(image);
    page.shown = item;
    drawAll();
    keepNeighbours();
  }

  again.addEventListener("click", () => {
    candidate.view.focus();
    showImage(page.current);
  });

  /** The form with what is said of the current candidate. */
  function fill(item) {
    for (const radio of radios) radio.checked = radio.value === item.finding;
    notes.value = item.notes;
    worksheet.write(item.sheet);
  }

  function show(item, { quiet = false } = {}) {
    if (!item) {
      say("There are no more candidates in this direction.");
      return;
    }
    findings.commit();
    edits.original();
    drawing.stop();
    const focusInStrip = strip.contains(document.activeElement);
    page.current = item;
    Object.assign(candidate, NEUTRAL, { zoom: probe.zoom, x: probe.x, y: probe.y });
    form.elements.position.value = item.position;
    for (const one of $$("[data-number]")) one.textContent = item.position;
    $("[data-place]").textContent = `Candidate ${item.position} of ${places}`;
    fill(item);
    for (const other of items) {
      const isCurrent = other === item;
      if (isCurrent) other.element.setAttribute("aria-current", "true");
      else other.element.removeAttribute("aria-current");
      other.element.tabIndex = isCurrent ? 0 : -1;
    }
    const { offsetLeft, offsetWidth } = item.element;
    if (offsetLeft < strip.scrollLeft || offsetLeft + offsetWidth > strip.scrollLeft + strip.clientWidth) {
      strip.scrollLeft = offsetLeft - (strip.clientWidth - offsetWidth) / 2;
    }
    if (focusInStrip) item.element.focus({ preventScroll: true });
    try {
      history.replaceState(history.state, "", item.element.href);
    } catch {
      // some browsers allow only so many a second; the address then lags behind
    }
    if (!quiet) say(`Candidate ${item.position} of ${places}. ${item.finding ? `Your finding: ${labelOf(item.finding)}.` : "No finding yet."}`);
    showImage(item);
    findings.ask(item);
  }

  strip.addEventListener("click", (event) => {
    const link = event.target.closest("[data-candidate]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(items.find((item) => item.element === link));
  });

  function nextOpen() {
    const from = items.indexOf(page.current);
    const after = [...items.slice(from + 1), ...items.slice(0, from + 1)];
    const open = after.find((item) => !item.finding || item.refused) ?? after.find(findings.lacksWorksheet);
    if (!open) return say("Every candidate has a finding.");
    show(open);
    if (open.finding) worksheet.open();
  }

  const findings = parts.findings(page);

  // ============================================================ keys and buttons

  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) act[button.dataset.do]();
  });

  const pressButton = (element) => {
    if (element && !element.disabled) element.click();
    else say("Not possible yet.");
  };
  const keys = {
    ArrowLeft: () => show(at(page.current, -1)),
    ArrowRight: () => show(at(page.current, 1)),
    j: () => show(at(page.current, 1)),
    k: () => show(at(page.current, -1)),
    n: nextOpen,
    m: () => notes.focus(),
    x: () => pressButton($("[data-exclude-form] button")),
    c: () => pressButton($("[data-conclude-form] button")),
    "+": act["zoom-in"],
    "=": act["zoom-in"],
    "-": act["zoom-out"],
    _: act["zoom-out"],
    0: act.fit,
    l: act.lock,
    a: act.choose,
    f: act.flip,
    r: act["turn-1"],
    e: act["back-1"],
    t: act["reset-tones"],
    o: edits.next,
    g: act.grid,
    w: act.swipe,
    b: act.blink,
    h: act.drawings,
    "[": () => view.moveEdge(-2),
    "]": () => view.moveEdge(2),
  };
  const STEP = 60;
  const shifted = {
    ArrowLeft: () => view.panChosen(-STEP, 0),
    ArrowRight: () => view.panChosen(STEP, 0),
    ArrowUp: () => view.panChosen(0, -STEP),
    ArrowDown: () => view.panChosen(0, STEP),
    r: act["turn-90"],
    e: act["back-90"],
  };
  keys.s = worksheet.open;
  keys.d = act.draw;
  for (const radio of radios) if (radio.dataset.key) keys[radio.dataset.key] = () => findings.conclude(radio.value);

  const KEYS_OFF = "mugsearch.compare.keys-off";
  const keysOn = document.querySelector("[data-keys-on]");
  try {
    keysOn.checked = localStorage.getItem(KEYS_OFF) === null;
    keysOn.addEventListener("change", () => (keysOn.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1")));
  } catch {
    // storage is switched off: the choice holds for this page
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    const { target } = event;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (target.matches("textarea, input:not([type=radio], [type=range], [type=checkbox]), select")) {
      if (event.key === "Escape") candidate.view.focus();
      return;
    }
    if (target.matches("input[type=range]") && /^(Arrow|Page|Home|End)/.test(event.key)) return;
    if (drawing.key(event)) return event.preventDefault();
    if (event.key === " " && view.aid() === "blink" && !target.closest("button, a, input, label")) {
      event.preventDefault();
      view.blinkByHand();
      return;
    }
    if (event.key === "Escape" && view.aid()) return view.setAid(view.aid());
    if (event.key.length === 1 && !keysOn.checked) return;
    if (target.matches("input[type=radio]") && /^Arrow/.test(name) && !event.shiftKey) {
      // Single keys off: arrows choose, as in every form. In the worksheet left and right always do.
      if (!keysOn.checked || (target.closest("[data-worksheet]") && /Left|Right/.test(name))) return;
    }
    if (worksheet.isOpen() && event.repeat && /^[1-9ms]$/.test(name)) return event.preventDefault();
    if (!event.shiftKey && worksheet.key(name)) return event.preventDefault();
    const action = event.shiftKey && shifted[name] ? shifted[name] : /^Arrow/.test(name) && event.shiftKey ? null : keys[name];
    if (!action) return;
    // a held key repeats moves, never findings or questions
    if (event.repeat && !/^Arrow|^[jk+=_\-re[\]]$/.test(name)) return event.preventDefault();
    event.preventDefault();
    action();
  });

  // ============================================================ start

  if (!page.current) return;
  const first = picture(probe);
  if (first.complete) draw(probe);
  first.addEventListener("load", drawAll);
  for (const item of items) findings.mark(item);
  show(page.current, { quiet: true });
  findings.tell();
})();
