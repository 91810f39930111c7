// The comparison screen, the edits of the probe: one after the other in place of the original, marked while they are
// there. Whoever goes to another candidate, or gives a grade, is back at the original, on which they decide.
// Loaded before compare.js, which starts it. Without script the edits are links.
(window.mugsearchCompare ??= {}).edits = (page) => {
  "use strict";

  const { $, $$, say, view } = page;
  const { probe, NEUTRAL, act } = view;
  const edits = $$("[data-edit]").map((link) => ({ url: link.href, words: `${link.dataset.edit} (edit ${link.dataset.number})` }));
  if (!edits.length) return { next: () => say("There are no edits of this probe."), original: () => {} };

  const original = view.picture(probe);
  const marks = $("[data-edit-shown]");
  let at = -1; // -1: the original
  let asked = 0; // so that what is loaded late is not shown to somebody who went on
  let before = null; // how the original was turned and toned

  function put(image, look) {
    Object.assign(probe, look, { fit: 0 });
    probe.view.replaceChildren(image);
    const shown = at >= 0;
    probe.element.classList.toggle("is-edit", shown);
    marks.hidden = !shown;
    $("[data-original]").hidden = shown;
    $("[data-edit-words]").textContent = shown ? edits[at].words : "";
    $('[data-do="edits"]').setAttribute("aria-pressed", String(shown));
    view.drawAll();
  }

  function load(edit) {
    const image = new Image();
    image.draggable = false;
    image.alt = `Edit of the probe, not the original: ${edit.words}`;
    image.src = edit.url;
    return image;
  }

  async function next() {
    const wanted = at + 1;
    if (wanted === edits.length) {
      back();
      return say("The original");
    }
    const image = load(edits[wanted]);
    const mine = ++asked;
    try {
      await image.decode();
    } catch {
      return say("The edit could not be loaded.");
    }
    if (mine !== asked) return;
    if (at < 0) before = Object.fromEntries(Object.keys(NEUTRAL).map((name) => [name, probe[name]]));
    at = wanted;
    put(image, NEUTRAL);
    say(`Edit, not the original: ${edits[at].words}`);
  }

  function back() {
    asked += 1;
    if (at < 0) return;
    at = -1;
    put(original, before);
  }

  act.edits = next;
  return { next, original: back };
};
