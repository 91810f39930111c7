// The comparison screen: template reviews_compare_stage.html, styles compare.css.
// The server sends this examiner's own order of candidates and nothing else about them. Saving:
//   POST data-save-url   position=N|remaining, conclusion, notes   (X-CSRFToken, Accept: application/json, X-Requested-With: fetch)
//   2xx saved · 401, 3xx sign-in ended, tried again · 408, 429, 5xx, no network: tried again · other 4xx refused, {"message"} is shown
(() => {
  "use strict";

  const root = document.querySelector("[data-compare]");
  if (!root) return;

  const $ = (selector, within = root) => within.querySelector(selector);
  const $$ = (selector, within = root) => [...within.querySelectorAll(selector)];
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  root.classList.add("is-live");
  for (const one of $$("[data-needs-script]")) one.hidden = false;
  for (const one of $$("[data-script-hides]")) one.hidden = true;

  // ============================================================ the view of the two photographs

  const NEUTRAL = { turn: 0, flip: false, brightness: 100, contrast: 100 };
  const ZOOM = [0.4, 40];
  const CRISP = 2; // above this many screen pixels per image pixel nothing is smoothed: what is seen is what was recorded

  const panes = $$("[data-pane]").map((element) => ({
    name: element.dataset.pane,
    element,
    view: $("[data-view]", element),
    changes: $("[data-changes]", element),
    zoom: 1,
    x: 0, // middle of the image against the middle of the pane, CSS pixels
    y: 0,
    fit: 0,
    ...NEUTRAL,
  }));
  const [probe, candidate] = panes;
  let chosen = candidate;
  let locked = true;
  const moved = (pane) => (locked ? panes : [pane]);
  const picture = (pane) => $("img", pane.view);

  function fitOf(pane) {
    const image = picture(pane);
    const { clientWidth: width, clientHeight: height } = pane.view;
    if (!image?.naturalWidth || !width || !height) return 0;
    const onItsSide = Math.round(pane.turn / 90) % 2 !== 0;
    const [across, down] = onItsSide ? [image.naturalHeight, image.naturalWidth] : [image.naturalWidth, image.naturalHeight];
    return Math.min(width / across, height / down);
  }

  function draw(pane) {
    const image = picture(pane);
    const fit = fitOf(pane);
    if (!fit) return;
    if (pane.fit && pane.fit !== fit && !pane.turning) {
      // the pane changed its size: stay on the same spot
      pane.x *= fit / pane.fit;
      pane.y *= fit / pane.fit;
    }
    pane.turning = false;
    pane.fit = fit;
    const scale = fit * pane.zoom;
    image.style.transform = `translate(-50%, -50%) translate(${pane.x}px, ${pane.y}px) rotate(${pane.turn}deg) scale(${pane.flip ? -scale : scale}, ${scale})`;
    image.style.filter = pane.brightness === 100 && pane.contrast === 100 ? "" : `brightness(${pane.brightness}%) contrast(${pane.contrast}%)`;
    image.classList.toggle("is-crisp", scale * devicePixelRatio > CRISP);
    pane.changes.textContent = [
      pane.flip && "mirrored",
      pane.turn && `turned ${pane.turn > 180 ? pane.turn - 360 : pane.turn}°`,
      pane.brightness !== 100 && `brightness ${pane.brightness} %`,
      pane.contrast !== 100 && `contrast ${pane.contrast} %`,
    ].filter(Boolean).join(", ");
  }

  const tones = $$("[data-tone]");

  function drawAll() {
    panes.forEach(draw);
    for (const pane of panes) pane.element.classList.toggle("is-chosen", pane === chosen);
    $("[data-zoom]").textContent = `${Math.round(chosen.zoom * 100)} %`;
    $("[data-chosen]").textContent = chosen.name;
    press("flip", chosen.flip);
    press("lock", locked);
    for (const input of tones) {
      input.value = chosen[input.dataset.tone];
      input.nextElementSibling.textContent = `${chosen[input.dataset.tone]} %`;
    }
  }

  const press = (name, on) => $(`[data-do="${name}"]`).setAttribute("aria-pressed", String(on));

  /** Grows by `factor` round a point given against the middle of the pane. */
  function zoom(pane, factor, at = { x: 0, y: 0 }) {
    const those = moved(pane);
    const least = Math.max(...those.map((one) => ZOOM[0] / one.zoom));
    const most = Math.min(...those.map((one) => ZOOM[1] / one.zoom));
    const by = clamp(factor, least, most);
    for (const one of those) {
      one.zoom *= by;
      one.x = at.x - (at.x - one.x) * by;
      one.y = at.y - (at.y - one.y) * by;
    }
    drawAll();
  }

  function pan(pane, x, y) {
    for (const one of moved(pane)) {
      one.x += x;
      one.y += y;
    }
    drawAll();
  }

  function fit(pane) {
    for (const one of moved(pane)) Object.assign(one, { zoom: 1, x: 0, y: 0 });
    drawAll();
  }

  function turn(by) {
    chosen.turn = (((chosen.turn + by) % 360) + 360) % 360;
    chosen.turning = true;
    drawAll();
    say(`${chosen.name} turned ${chosen.turn}°`);
  }

  function choose(pane) {
    if (chosen === pane) return;
    chosen = pane;
    drawAll();
  }

  const middle = (pane, event) => {
    const box = pane.view.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  };

  for (const pane of panes) {
    pane.view.tabIndex = 0;
    pane.view.setAttribute("role", "group");
    pane.view.setAttribute("aria-label", `Photograph: ${pane.name}. Keys act on it; press ? for the list.`);
    pane.view.addEventListener("focus", () => choose(pane));

    pane.view.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 24 : 1;
      zoom(pane, Math.exp(-clamp(event.deltaY * lines, -240, 240) * 0.002), middle(pane, event));
    }, { passive: false });

    const fingers = new Map();
    let spread = 0;
    const measure = () => {
      const [one, two] = [...fingers.values()];
      return two ? Math.hypot(one.x - two.x, one.y - two.y) : 0;
    };
    const centre = () => {
      const all = [...fingers.values()];
      return { x: all.reduce((sum, one) => sum + one.x, 0) / all.length, y: all.reduce((sum, one) => sum + one.y, 0) / all.length };
    };
    pane.view.addEventListener("pointerdown", (event) => {
      if (event.button > 1) return;
      choose(pane);
      pane.view.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, middle(pane, event));
      spread = measure();
    });
    pane.view.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = centre();
      fingers.set(event.pointerId, middle(pane, event));
      const after = centre();
      pan(pane, after.x - before.x, after.y - before.y);
      if (fingers.size === 2 && spread) {
        const now = measure();
        zoom(pane, now / spread, after);
        spread = now;
      }
    });
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
      pane.view.addEventListener(kind, (event) => {
        fingers.delete(event.pointerId);
        spread = measure();
      });
    }
    pane.view.addEventListener("dblclick", (event) => (pane.zoom > 1.01 ? fit(pane) : zoom(pane, 3, middle(pane, event))));
    new ResizeObserver(() => draw(pane)).observe(pane.view);
  }

  for (const input of tones) {
    input.addEventListener("input", () => {
      chosen[input.dataset.tone] = Number(input.value);
      drawAll();
    });
  }

  // ------------------------------------------------------------ alignment aids

  const swipe = $("[data-swipe]");
  const edge = $("input", swipe);
  const divider = $("[data-divider]");
  let aid = ""; // "", "swipe" or "blink"
  let beat = 0;

  function drawEdge() {
    divider.style.left = `${edge.value}%`;
    candidate.element.style.clipPath = aid === "swipe" ? `inset(0 0 0 ${edge.value}%)` : "";
  }

  function setAid(wanted) {
    aid = aid === wanted ? "" : wanted;
    clearInterval(beat);
    root.classList.remove("is-blinked-away");
    root.classList.toggle("is-over", aid !== "");
    swipe.hidden = divider.hidden = aid !== "swipe";
    $("[data-aid]").hidden = aid === "";
    press("swipe", aid === "swipe");
    press("blink", aid === "blink");
    drawEdge();
    drawAll();
    if (aid === "blink" && !calm.matches) beat = setInterval(blink, 800);
    if (aid) say(`${aid === "swipe" ? "Swipe" : calm.matches ? "Blink: press Space to change" : "Blink"}. Alignment aid, not evidence.`);
    else say("Side by side");
  }

  const blink = () => root.classList.toggle("is-blinked-away");
  edge.addEventListener("input", drawEdge);

  // ============================================================ candidates

  const items = $$("[data-candidate]").map((element) => ({
    element,
    position: element.dataset.candidate,
    url: element.dataset.image,
    finding: element.dataset.finding || "",
    notes: element.dataset.notes || "",
  }));
  const places = $$(".filmstrip > li").length;
  const strip = $(".filmstrip");
  const form = $("[data-finding-form]");
  const radios = $$("input[name=conclusion]", form);
  const notes = $("textarea[name=notes]", form);
  const readOnly = root.hasAttribute("data-locked");
  const live = $("[data-live]");
  const say = (text) => {
    live.textContent = "";
    requestAnimationFrame(() => (live.textContent = text));
  };
  const labelOf = (finding) => radios.find((radio) => radio.value === finding)?.closest("label").querySelector("span").textContent ?? "";

  let current = items.find((item) => item.element.hasAttribute("aria-current")) ?? items[0];
  let shown = null; // the item whose photograph is on the screen, decoded; nothing is concluded on another

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
    const near = [0, 1, -1, 2].map((step) => at(current, step)).filter(Boolean);
    near.slice(0, 3).forEach(load);
    const keep = new Set(near.map((item) => item.url));
    for (const url of images.keys()) if (!keep.has(url) && images.size > 5) images.delete(url);
  }

  const wait = $("[data-wait]");
  const again = $("[data-retry]");

  async function showImage(item) {
    shown = null;
    const { image, ready } = load(item);
    const slow = setTimeout(() => {
      if (current !== item) return;
      $("[data-wait-text]").textContent = "Loading…";
      wait.hidden = false;
      again.hidden = true;
    }, 120);
    picture(candidate)?.classList.add("is-waiting"); // never the last photograph under the next number
    try {
      await ready;
    } catch {
      clearTimeout(slow);
      if (current !== item) return;
      $("[data-wait-text]").textContent = "The photograph could not be loaded.";
      wait.hidden = again.hidden = false;
      say("The photograph could not be loaded.");
      return;
    }
    clearTimeout(slow);
    if (current !== item) return;
    wait.hidden = true;
    image.className = "";
    image.alt = `Candidate ${item.position}`;
    candidate.fit = 0;
    candidate.view.replaceChildren(image);
    shown = item;
    drawAll();
    keepNeighbours();
  }

  again.addEventListener("click", () => {
    candidate.view.focus();
    showImage(current);
  });

  function show(item, { quiet = false } = {}) {
    if (!item) {
      say("There are no more candidates in this direction.");
      return;
    }
    commit();
    const focusInStrip = strip.contains(document.activeElement);
    current = item;
    Object.assign(candidate, NEUTRAL, { zoom: probe.zoom, x: probe.x, y: probe.y });
    form.elements.position.value = item.position;
    for (const one of $$("[data-number]")) one.textContent = item.position;
    $("[data-place]").textContent = `Candidate ${item.position} of ${places}`;
    for (const radio of radios) radio.checked = radio.value === item.finding;
    notes.value = item.notes;
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
  }

  strip.addEventListener("click", (event) => {
    const link = event.target.closest("[data-candidate]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(items.find((item) => item.element === link));
  });

  const nextOpen = () => {
    const from = items.indexOf(current);
    const after = [...items.slice(from + 1), ...items.slice(0, from + 1)];
    const open = after.find((item) => !item.finding);
    if (open) show(open);
    else say("Every candidate has a finding.");
  };

  // ============================================================ findings: shown at once, saved in order, tried until they are

  const RETRY = [1000, 2000, 4000, 8000, 15000];
  let waiting = new Map(); // position -> what to send, oldest first, one entry a candidate
  let sending = null;
  let faults = 0;
  let refusal = "";
  let typing = 0;
  let unsent = false; // the form holds something newer than the queue

  const csrf = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? $("input[name=csrfmiddlewaretoken]", form)?.value ?? "";
  const unsaved = () => unsent || waiting.size > 0 || sending !== null;

  function tell() {
    const saved = $("[data-saved]");
    const open = items.filter((item) => !item.finding).length;
    saved.classList.toggle("is-unsaved", Boolean(refusal) || (faults > 0 && unsaved()));
    if (refusal) saved.textContent = `Not saved: ${refusal}`;
    else if (faults > 0 && unsaved()) saved.textContent = "Not saved – retrying";
    else if (unsaved()) saved.textContent = "Saving…";
    else if (saved.textContent) saved.textContent = "Saved";
    if (current && !current.finding && notes.value.trim() && !refusal && !unsaved()) saved.textContent = "Notes are saved together with a finding";
    for (const item of items) {
      item.element.classList.toggle("is-unsaved", Boolean(item.refused) || (faults > 0 && (waiting.has(item.position) || sending === item.position)));
    }
    $("[data-left]").textContent = `${items.length - open} of ${items.length} concluded`;
    const exclude = $("[data-exclude-form] button");
    const conclude = $("[data-conclude-form] button");
    if (exclude) exclude.disabled = open === 0;
    if (conclude) conclude.disabled = open > 0 || items.some((item) => item.refused);
    const hint = $("[data-conclude-hint]");
    if (hint) hint.textContent = open ? `${open} ${open === 1 ? "candidate needs" : "candidates need"} a finding first.` : "";
  }

  function mark(item) {
    item.element.dataset.finding = item.finding;
    $(".filmstrip__mark", item.element).textContent = radios.find((radio) => radio.value === item.finding)?.dataset.mark ?? "";
    $("[data-finding-text]", item.element).textContent = item.finding ? `, ${labelOf(item.finding)}` : "";
  }

  /** What the form holds becomes the finding of the current candidate and is put in the queue. */
  function commit() {
    clearTimeout(typing);
    if (!unsent) return;
    unsent = false;
    current.notes = notes.value;
    if (current.finding) {
      waiting.delete(current.position);
      waiting.set(current.position, { conclusion: current.finding, notes: current.notes });
      current.refused = false;
      refusal = "";
    }
    pump();
  }

  function later(milliseconds) {
    unsent = true;
    current.notes = notes.value;
    clearTimeout(typing);
    typing = setTimeout(commit, milliseconds);
    tell();
  }

  async function send(position, what) {
    const body = new FormData();
    body.set("position", position);
    body.set("conclusion", what.conclusion);
    body.set("notes", what.notes ?? "");
    const response = await fetch(root.dataset.saveUrl, {
      method: "POST",
      body: new URLSearchParams(body),
      redirect: "manual",
      keepalive: true,
      credentials: "same-origin",
      headers: { "X-CSRFToken": csrf(), "X-Requested-With": "fetch", Accept: "application/json" },
    });
    if (response.ok) return "";
    if (response.type === "opaqueredirect" || [401, 408, 425, 429].includes(response.status) || response.status >= 500) throw new Error("again");
    const answer = await response.json().catch(() => ({}));
    return answer.message || answer.detail || "The server refused it. Load the page again.";
  }

  async function pump() {
    tell();
    if (sending !== null || waiting.size === 0) return;
    const [position, what] = waiting.entries().next().value;
    waiting.delete(position);
    sending = position;
    tell();
    try {
      const refused = await send(position, what);
      faults = 0;
      if (refused) {
        refusal = refused;
        for (const item of items) if (item.position === position || position === "remaining") item.refused = true;
        say(`Not saved: ${refused}`);
      } else {
        $("[data-saved]").textContent = "Saved";
      }
    } catch {
      faults += 1;
      if (faults === 1) say("Not saved, trying again");
      // back to the front, unless something newer of the same candidate waits
      if (!waiting.has(position)) waiting = new Map([[position, what], ...waiting]);
      sending = null;
      tell();
      clearTimeout(pump.timer);
      pump.timer = setTimeout(pump, RETRY[Math.min(faults, RETRY.length) - 1]);
      return;
    }
    sending = null;
    tell();
    pump();
  }

  window.addEventListener("online", pump);
  window.addEventListener("pageshow", () => concludeForm && delete concludeForm.dataset.sure);
  window.addEventListener("pagehide", commit);
  document.addEventListener("visibilitychange", () => document.hidden && commit());
  window.addEventListener("beforeunload", (event) => {
    commit();
    if (unsaved() || items.some((item) => !item.finding && item.notes.trim() && item.notes !== item.element.dataset.notes)) event.preventDefault();
  });

  function conclude(value) {
    if (readOnly) return say("This examination is concluded.");
    if (shown !== current) return say("Wait until the photograph is shown.");
    const radio = radios.find((one) => one.value === value);
    radio.checked = true;
    current.finding = value;
    mark(current);
    say(`Candidate ${current.position}: ${labelOf(value)}`);
    later(120);
  }

  for (const radio of radios) {
    radio.addEventListener("change", () => {
      if (shown === current) return conclude(radio.value);
      for (const one of radios) one.checked = one.value === current.finding;
      say("Wait until the photograph is shown.");
    });
  }
  notes.addEventListener("input", () => later(800));
  notes.addEventListener("blur", commit);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    unsent = true;
    commit();
  });

  // ------------------------------------------------------------ the two questions

  const question = (name) => document.querySelector(`[data-dialog="${name}"]`);
  const many = (count) => `${count} ${count === 1 ? "candidate" : "candidates"}`;

  const excludeForm = $("[data-exclude-form]");
  excludeForm?.addEventListener("submit", (event) => {
    event.preventDefault();
    commit();
    const dialog = question("exclude");
    $("[data-count]", dialog).textContent = many(items.filter((item) => !item.finding).length);
    dialog.showModal();
  });
  excludeForm && $("[data-yes]", question("exclude")).addEventListener("click", () => {
    question("exclude").close();
    for (const item of items.filter((one) => !one.finding)) {
      item.finding = "different";
      item.refused = false;
      mark(item);
    }
    for (const radio of radios) radio.checked = radio.value === current.finding;
    waiting.delete("remaining");
    waiting.set("remaining", { conclusion: "different" });
    refusal = "";
    say("All remaining candidates are excluded.");
    pump();
    candidate.view.focus(); // the button that opened the question is disabled now
  });

  const concludeForm = $("[data-conclude-form]");
  concludeForm?.addEventListener("submit", (event) => {
    if (concludeForm.dataset.sure) return;
    event.preventDefault();
    commit();
    if (items.some((item) => !item.finding)) return nextOpen();
    const dialog = question("conclude");
    $("[data-summary]", dialog).textContent = `${radios
      .map((radio) => [labelOf(radio.value), items.filter((item) => item.finding === radio.value).length])
      .filter(([, count]) => count)
      .map(([label, count]) => `${label}: ${count}`)
      .join(" · ")}.`;
    dialog.showModal();
  });
  concludeForm && $("[data-yes]", question("conclude")).addEventListener("click", async () => {
    const until = Date.now() + 5000;
    pump();
    while (unsaved() && Date.now() < until) await new Promise((done) => setTimeout(done, 50));
    question("conclude").close();
    if (unsaved() || items.some((item) => item.refused)) return say("Not concluded: not everything is saved yet.");
    concludeForm.dataset.sure = "yes";
    concludeForm.requestSubmit();
  });

  // ============================================================ keys and buttons

  const act = {
    "zoom-in": () => zoom(chosen, 1.25),
    "zoom-out": () => zoom(chosen, 0.8),
    fit: () => fit(chosen),
    lock: () => {
      locked = !locked;
      drawAll();
      say(locked ? "Locked: both photographs move together" : "Unlocked: each photograph moves alone");
    },
    choose: () => {
      choose(chosen === probe ? candidate : probe);
      say(`Keys act on the ${chosen.name}`);
    },
    flip: () => {
      chosen.flip = !chosen.flip;
      drawAll();
      say(`${chosen.name} ${chosen.flip ? "mirrored" : "as recorded"}`);
    },
    "turn-1": () => turn(1),
    "turn-90": () => turn(90),
    "back-1": () => turn(-1),
    "back-90": () => turn(-90),
    "reset-tones": () => {
      Object.assign(chosen, { brightness: 100, contrast: 100 });
      drawAll();
      say("Tones as recorded");
    },
    grid: () => press("grid", root.classList.toggle("has-grid")),
    swipe: () => setAid("swipe"),
    blink: () => setAid("blink"),
  };

  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) act[button.dataset.do]();
  });

  const pressButton = (element) => {
    if (element && !element.disabled) element.click();
    else say("Not possible yet.");
  };
  const keys = {
    ArrowLeft: () => show(at(current, -1)),
    ArrowRight: () => show(at(current, 1)),
    j: () => show(at(current, 1)),
    k: () => show(at(current, -1)),
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
    g: act.grid,
    w: act.swipe,
    b: act.blink,
    "[": () => aid === "swipe" && ((edge.value = Number(edge.value) - 2), drawEdge()),
    "]": () => aid === "swipe" && ((edge.value = Number(edge.value) + 2), drawEdge()),
  };
  const STEP = 60;
  const shifted = {
    ArrowLeft: () => pan(chosen, -STEP, 0),
    ArrowRight: () => pan(chosen, STEP, 0),
    ArrowUp: () => pan(chosen, 0, -STEP),
    ArrowDown: () => pan(chosen, 0, STEP),
    r: act["turn-90"],
    e: act["back-90"],
  };
  for (const radio of radios) if (radio.dataset.key) keys[radio.dataset.key] = () => conclude(radio.value);

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
    if (event.key === " " && aid === "blink" && !target.closest("button, a, input, label")) {
      event.preventDefault();
      clearInterval(beat);
      blink();
      return;
    }
    if (event.key === "Escape" && aid) return setAid(aid);
    if (event.key.length === 1 && !keysOn.checked) return;
    const action = event.shiftKey && shifted[name] ? shifted[name] : /^Arrow/.test(name) && event.shiftKey ? null : keys[name];
    if (!action) return;
    // a held key repeats moves, never findings or questions
    if (event.repeat && !/^Arrow|^[jk+=_\-re[\]]$/.test(name)) return event.preventDefault();
    event.preventDefault();
    action();
  });

  // ============================================================ start

  if (!current) return;
  const first = picture(probe);
  if (first.complete) draw(probe);
  first.addEventListener("load", drawAll);
  for (const item of items) mark(item);
  show(current, { quiet: true });
  tell();
})();
