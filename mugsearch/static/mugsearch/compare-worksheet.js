// The comparison screen, the worksheet behind a positive conclusion: one component after the other, by keys or by pointer.
// Loaded before compare.js, which starts it. Without script the worksheet is a plain part of the finding's form.
// A worksheet is {component: {said, notes, drawn}}; what is empty is left out. compare-drawing.js says what `drawn` holds.
(window.mugsearchCompare ??= {}).worksheet = (page) => {
  "use strict";

  const { $, $$, say, focusOnView, changed, ready, drawn } = page;
  const sheet = $("[data-worksheet]");
  const rows = $$("[data-component]", sheet).map((element) => ({
    element,
    name: element.dataset.component,
    label: $("[data-component-label]", element).textContent,
    radios: $$("input[type=radio]", element),
    notes: $("input[type=text]", element),
    marks: [],
  }));
  const left = $("[data-worksheet-left]", sheet);
  const SAID = { 1: "similar", 2: "different", 3: "not_visible" };
  let current = 0;
  let pointed = false; // the current component was chosen by a person, not reached by answering the one before

  const said = (row) => row.radios.find((radio) => radio.checked)?.value ?? "";
  const missing = () => rows.filter((row) => !said(row)).length;

  function point(index) {
    current = Math.max(0, Math.min(rows.length - 1, index));
    rows.forEach((row, at) => row.element.classList.toggle("is-current", at === current));
    if (sheet.open) rows[current].element.scrollIntoView({ block: "nearest" });
    drawn();
  }

  function tell() {
    const many = missing();
    left.textContent = many === rows.length ? "not begun" : many ? `${many} left` : "complete";
    for (const row of rows) {
      row.said = said(row);
      row.element.classList.toggle("has-notes", row.notes.value !== "");
    }
  }

  /** What the form holds. */
  function read() {
    const told = {};
    for (const row of rows) {
      const one = { ...(said(row) && { said: said(row) }), ...(row.notes.value && { notes: row.notes.value }), ...(row.marks.length && { drawn: row.marks }) };
      if (Object.keys(one).length) told[row.name] = one;
    }
    return told;
  }

  /** Another candidate's. */
  function write(told) {
    sheet.open = false;
    for (const row of rows) {
      for (const radio of row.radios) radio.checked = radio.value === told[row.name]?.said;
      row.notes.value = told[row.name]?.notes ?? "";
      row.marks = told[row.name]?.drawn ?? [];
    }
    point(Math.max(0, rows.findIndex((row) => !said(row))));
    tell();
  }

  function open() {
    sheet.open = true;
    point(Math.max(0, rows.findIndex((row) => !said(row))));
    say(`Worksheet, ${rows[current].label}. 1 similar, 2 different, 3 not visible.`);
  }

  function close() {
    if (!sheet.open) return;
    sheet.open = false;
    focusOnView();
  }

  const WAIT = "Wait until the photograph is shown.";

  function choose(value) {
    if (!ready()) return say(WAIT);
    const row = rows[current];
    if (!missing() && !pointed) return say("The worksheet is complete. Move to a component to change it.");
    pointed = false;
    row.radios.find((radio) => radio.value === value).checked = true;
    tell();
    changed();
    const next = [...rows.keys()].find((at) => at > current && !said(rows[at])) ?? [...rows.keys()].find((at) => !said(rows[at]));
    point(next ?? current);
    say(`${row.label}: ${$(`[data-said-label=${value}]`, sheet).textContent}. ${missing() ? `Next, ${rows[current].label}.` : "The worksheet is complete."}`);
  }

  /** Whether a key was for the worksheet. */
  function key(name) {
    if (!sheet.open) return false;
    if (SAID[name]) choose(SAID[name]);
    else if (name === "ArrowDown") pointed = (point(current + 1), true);
    else if (name === "ArrowUp") pointed = (point(current - 1), true);
    else if (name === "m") rows[current].notes.focus();
    else if (name === "Escape" || name === "s") close();
    else return /^[4-9]$/.test(name); // grades are given with the worksheet closed
    if (/^Arrow/.test(name)) say(`${rows[current].label}: ${said(rows[current]).replace("_", " ") || "nothing yet"}`);
    return true;
  }

  rows.forEach((row, at) => {
    row.element.addEventListener("focusin", () => (pointed = (point(at), true)));
    for (const radio of row.radios) {
      radio.addEventListener("change", () => {
        if (ready()) return tell(), changed();
        for (const one of row.radios) one.checked = one.value === row.said;
        say(WAIT);
      });
    }
    row.notes.addEventListener("input", () => (tell(), changed()));
  });
  tell();

  const full = (told) => rows.every((row) => told[row.name]?.said);

  return {
    read,
    write,
    open,
    key,
    full,
    rows,
    component: () => rows[current],
    goTo: (row) => (pointed = (point(rows.indexOf(row)), true)),
    isOpen: () => sheet.open,
  };
};
