// "Edit a copy": sliders beside the number fields, and a picture of what they will make, as mugsearch/engine/edits.py
// makes it. Without script the fields are a plain form, and the edit is seen once it is made.
(() => {
  "use strict";

  const form = document.querySelector("[data-edit-form]");
  const view = document.querySelector("[data-edit-view]");
  const original = document.querySelector("[data-edit-original]");
  if (!form || !view || !original) return;

  const SIDE = 1000; // pixels of the longer side of the picture that is turned here
  const field = (name) => form.elements[name];
  const number = (name) => {
    const { value, min, max } = field(name);
    const typed = Number(value);
    return Number.isFinite(typed) ? Math.min(Number(max), Math.max(Number(min), typed)) : 0;
  };
  const wide = Number(view.dataset.width);
  const high = Number(view.dataset.height);

  const canvas = document.createElement("canvas");
  canvas.className = "edit-view__picture";
  canvas.setAttribute("role", "img");
  const kept = document.createElement("div");
  kept.className = "edit-view__kept";
  const frame = document.createElement("div");
  frame.className = "edit-view__frame";
  frame.append(canvas, kept);

  /** Turned about its middle, onto a picture that is just large enough. */
  function draw() {
    const scale = Math.min(1, SIDE / Math.max(wide, high));
    const angle = (number("rotate") * Math.PI) / 180;
    const [cos, sin] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
    canvas.width = Math.ceil((wide * cos + high * sin) * scale - 1e-6);
    canvas.height = Math.ceil((wide * sin + high * cos) * scale - 1e-6);
    const paper = canvas.getContext("2d");
    paper.fillStyle = "#000";
    paper.fillRect(0, 0, canvas.width, canvas.height);
    paper.translate(canvas.width / 2, canvas.height / 2);
    paper.rotate(angle);
    paper.drawImage(original, (-wide * scale) / 2, (-high * scale) / 2, wide * scale, high * scale);
    canvas.style.filter = `brightness(${100 + number("brightness")}%) contrast(${100 + number("contrast")}%)`;
    for (const side of ["left", "right", "top", "bottom"]) kept.style[side] = `${number(side)}%`;
    const words = [...form.querySelectorAll("input[type=number]")].filter((one) => Number(one.value)).map((one) => `${one.labels[0].textContent.trim()} ${one.value}`);
    canvas.setAttribute("aria-label", `The copy: ${words.join(", ") || "as the original"}`);
  }

  const sliders = [...form.querySelectorAll("input[type=number]")].map((input) => {
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: input.min, max: input.max, step: input.name === "rotate" ? 0.5 : 1, value: input.value, tabIndex: -1 });
    slider.setAttribute("aria-hidden", "true"); // the number field beside it is the same for the keyboard
    slider.addEventListener("input", () => {
      input.value = slider.value;
      draw();
    });
    input.addEventListener("input", () => {
      slider.value = input.value;
      draw();
    });
    input.after(slider);
    return () => (slider.value = input.value);
  });

  const set = (name, value) => (field(name).value = String(Math.min(99, Math.max(0, Math.round(value * 10) / 10))));
  const all = () => {
    sliders.forEach((follow) => follow());
    draw();
  };

  // What is dragged over stays.
  let from = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const share = (value) => Math.min(100, Math.max(0, value * 100));
    return { x: share((event.clientX - box.left) / box.width), y: share((event.clientY - box.top) / box.height) };
  };
  frame.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    from = place(event);
    frame.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  frame.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = place(event);
    if (Math.abs(to.x - from.x) < 2 || Math.abs(to.y - from.y) < 2) return; // a click is no crop
    set("left", Math.min(from.x, to.x));
    set("right", 100 - Math.max(from.x, to.x));
    set("top", Math.min(from.y, to.y));
    set("bottom", 100 - Math.max(from.y, to.y));
    all();
  });
  for (const kind of ["pointerup", "pointercancel"]) frame.addEventListener(kind, () => (from = null));

  form.addEventListener("reset", () => setTimeout(all));

  original
    .decode()
    .then(() => {
      original.hidden = true;
      view.prepend(frame);
      view.querySelector("[data-edit-hint]").hidden = false;
      all();
    })
    .catch(() => {}); // the page stays as it is without script
})();
