// The comparison screen, what another window saved meanwhile: both are shown, and the examiner keeps one.
// Loaded before compare.js, which starts it. What is compared is {conclusion, notes, sheet}.
(window.mugsearchCompare ??= {}).outdated = (page) => {
  "use strict";

  const { $, $$, labelOf } = page;
  const dialog = document.querySelector('[data-dialog="outdated"]');
  const saidLabel = (value) => (value ? ($(`[data-said-label="${value}"]`)?.textContent ?? value) : "");
  const lines = (text = "") => text.replaceAll("\r\n", "\n");
  const drawn = (marks) => (marks?.length ? `${marks.length} drawn` : "");
  // [label, what is read of it, what is compared: two drawings of as many marks are not the same]
  const ROWS = [
    ["Conclusion", (one) => labelOf(one.conclusion), (one) => one.conclusion],
    ["Notes", (one) => one.notes, (one) => lines(one.notes)],
    ...$$("[data-component]").map((element) => {
      const told = (one) => one.sheet[element.dataset.component] ?? {};
      return [
        $("[data-component-label]", element).textContent,
        (one) => [saidLabel(told(one).said), told(one).notes, drawn(told(one).drawn)].filter(Boolean).join(". "),
        (one) => JSON.stringify([told(one).said ?? "", lines(told(one).notes), inOrder(told(one).drawn)]),
      ];
    }),
  ];
  // The server writes the two photographs of a mark in an order of its own.
  function inOrder(marks) {
    return (marks ?? []).map(({ probe, candidate }) => [probe ?? null, candidate ?? null]);
  }
  const differing = (one, other) => ROWS.filter(([, , compared]) => compared(one) !== compared(other));
  const same = (one, other) => differing(one, other).length === 0;

  function cell(name, text, label) {
    const element = document.createElement(name);
    element.textContent = text || "–";
    if (label) element.dataset.label = label;
    else element.scope = "row";
    return element;
  }

  let choice = {};

  /** `keep` and `take` are what the two answers do; without an answer it is asked again another time. */
  function ask(position, mine, stored, answers) {
    if (dialog.open) return;
    choice = answers;
    const at = new Date(stored.saved_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    $("[data-outdated-position]", dialog).textContent = position;
    $("[data-outdated-at]", dialog).textContent = at;
    $("[data-outdated-rows]", dialog).replaceChildren(
      ...differing(mine, stored).map(([label, of]) => {
        const row = document.createElement("tr");
        row.append(cell("th", label), cell("td", of(mine), "In this window"), cell("td", of(stored), `Saved meanwhile, ${at}`));
        return row;
      }),
    );
    dialog.showModal();
  }

  const answer = (name) => () => {
    dialog.close();
    choice[name]();
  };
  $("[data-keep]", dialog).addEventListener("click", answer("keep"));
  $("[data-take]", dialog).addEventListener("click", answer("take"));

  return { same, ask };
};
