// The comparison screen, the view of the two photographs: zoom, pan, turn, mirror, tones, and the aids grid, swipe and blink.
// Loaded before compare.js, which starts it.
(window.mugsearchCompare ??= {}).view = (page) => {
  "use strict";

  const { root, $, $$, say } = page;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

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
    fit: 0, // screen pixels per image pixel at zoom 1; 0 while there is no photograph
    follow: null, // called after every change of the view
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
    if (!fit) return pane.follow?.();
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
    pane.follow?.();
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

  // ------------------------------------------------------------ what the buttons and keys do

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

  return {
    NEUTRAL,
    probe,
    candidate,
    picture,
    chosen: () => chosen,
    choose,
    draw,
    drawAll,
    act,
    panChosen: (x, y) => pan(chosen, x, y),
    aid: () => aid,
    setAid,
    moveEdge: (by) => {
      if (aid !== "swipe") return;
      edge.value = Number(edge.value) + by;
      drawEdge();
    },
    blinkByHand: () => {
      clearInterval(beat);
      blink();
    },
  };
};
