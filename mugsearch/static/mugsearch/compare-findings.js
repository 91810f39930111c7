// The comparison screen, the examiner's findings: shown at once, saved in order, tried until they are.
// Loaded before compare.js, which starts it and says in `page` which candidate is current and whose photograph is shown.
//   POST data-save-url   position=N|remaining, conclusion (none: a draft), notes, the worksheet's fields   (X-CSRFToken, Accept: application/json, X-Requested-With: fetch)
//        saved_at (of what is changed) or, for remaining, drafts {position: saved_at}
//   2xx saved, {"saved": what is stored now} · 409 with {"stored"}: another window saved something else, the examiner chooses ·
//   401, 3xx sign-in ended, tried again · 408, 429, 5xx, no network: tried again · other 4xx refused, {"message"} is shown
(window.mugsearchCompare ??= {}).findings = (page) => {
  "use strict";

  const { root, $, say, items, form, radios, notes, worksheet, outdated, labelOf, nextOpen, fill, focusOnView } = page;
  const readOnly = root.hasAttribute("data-locked");

  const RETRY = [1000, 2000, 4000, 8000, 15000];
  let waiting = new Map(); // position -> of remaining {conclusion, items}, oldest first, one entry a candidate
  let sending = null;
  let faults = 0;
  let refusal = "";
  let typing = 0;
  let unsent = false; // the form holds something newer than the queue

  const lacksWorksheet = (item) => Number(item.finding) > 0 && !worksheet.full(item.sheet);
  const csrf = () => document.cookie.match(/(?:^|; )(?:__Host-)?csrftoken=([^;]+)/)?.[1] ?? $("input[name=csrfmiddlewaretoken]", form)?.value ?? "";
  const unsaved = () => unsent || waiting.size > 0 || sending !== null;

  function tell() {
    const saved = $("[data-saved]");
    const open = items.filter((item) => !item.finding || item.refused).length; // what was refused is not concluded
    const lacking = items.find(lacksWorksheet);
    saved.classList.toggle("is-unsaved", Boolean(refusal) || (faults > 0 && unsaved()));
    if (refusal) saved.textContent = `Not saved: ${refusal}`;
    else if (faults > 0 && unsaved()) saved.textContent = "Not saved – retrying";
    else if (unsaved()) saved.textContent = "Saving…";
    else if (saved.textContent) saved.textContent = "Saved";
    for (const item of items) {
      item.element.classList.toggle("is-unsaved", Boolean(item.refused) || (faults > 0 && (waiting.has(item.position) || sending === item.position)));
    }
    $("[data-left]").textContent = `${items.length - open} of ${items.length} concluded`;
    const exclude = $("[data-exclude-form] button");
    const conclude = $("[data-conclude-form] button");
    if (exclude) exclude.disabled = remainingItems().length === 0;
    if (conclude) conclude.disabled = open > 0 || Boolean(lacking);
    $("[data-said]").textContent = labelOf(page.current?.finding) || "Nothing concluded yet";
    const hint = $("[data-conclude-hint]");
    if (hint) {
      hint.textContent = open
        ? `${open} ${open === 1 ? "candidate needs" : "candidates need"} a finding first.`
        : lacking
          ? `Candidate ${lacking.position} needs its worksheet first.`
          : "";
    }
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
    page.current.notes = notes.value;
    page.current.sheet = worksheet.read();
    waiting.delete(page.current.position);
    waiting.set(page.current.position);
    page.current.refused = false;
    refusal = "";
    pump();
  }

  function later(milliseconds) {
    unsent = true;
    page.current.notes = notes.value;
    page.current.sheet = worksheet.read();
    clearTimeout(typing);
    typing = setTimeout(commit, milliseconds);
    tell();
  }

  const itemAt = (position) => items.find((item) => item.position === String(position));
  const mine = (item) => ({ conclusion: item.finding, notes: item.notes, sheet: item.sheet });
  const known = ({ worksheet: sheet, ...stored }) => ({ ...stored, sheet });
  const newerHere = (item) => waiting.has(item.position) || item.refused || (unsent && item === page.current);

  /** The item becomes what is stored. */
  function take(item, stored) {
    const changes = !outdated.same(mine(item), stored);
    Object.assign(item, { finding: stored.conclusion, notes: stored.notes, sheet: stored.sheet });
    Object.assign(item, { saved: stored, sent: [], refused: false, clash: null });
    if (!changes) return;
    mark(item);
    if (item === page.current) fill(item);
  }

  /** Whether it is what this window knows of or has sent. */
  const ours = (item, stored) => [item.saved, ...item.sent].some((one) => outdated.same(one, stored));

  /** An answer says what is stored. What is newer here stays, and is asked about when it is saved. */
  function learn(item, stored) {
    if (ours(item, stored)) Object.assign(item, { saved: stored, sent: [] });
    else if (!newerHere(item)) take(item, stored);
  }

  /** Something newer is stored than what was changed here. Returns whether that needs no question: an answer got lost. */
  function settles(item, stored) {
    item.clash = ours(item, stored) ? null : stored;
    if (item.clash) return false;
    Object.assign(item, { saved: stored, sent: [] });
    waiting.set(item.position);
    return true;
  }

  /** Which of both is kept, where that is open. */
  function ask(item) {
    if (!item?.clash) return;
    const settled = (done) => () => {
      done();
      refusal = items.some((one) => one.refused) ? refusal : "";
      pump();
      focusOnView();
      ask(items.find((one) => one.clash));
    };
    outdated.ask(item.position, mine(item), item.clash, {
      take: settled(() => {
        if (item === page.current) unsent = false;
        waiting.delete(item.position);
        take(item, item.clash);
        say(`Candidate ${item.position}: what is saved was taken.`);
      }),
      keep: settled(() => {
        waiting.set(item.position);
        Object.assign(item, { saved: item.clash, sent: [], refused: false, clash: null });
        say(`Candidate ${item.position}: what is here is kept.`);
      }),
    });
  }

  const savedAt = (some) => JSON.stringify(Object.fromEntries(some.filter((one) => one.saved.saved_at).map((one) => [one.position, one.saved.saved_at])));

  async function send(position, remaining) {
    const body = new FormData();
    const item = itemAt(position);
    const what = item ? mine(item) : { conclusion: remaining.conclusion };
    body.set("position", position);
    if (item) {
      body.set("saved_at", item.saved.saved_at);
      item.sent.push(what);
    } else {
      for (const one of remaining.items) one.sent.push({ ...one.saved, conclusion: remaining.conclusion });
      body.set("drafts", savedAt(remaining.items));
    }
    body.set("conclusion", what.conclusion);
    body.set("notes", what.notes ?? "");
    for (const [component, told] of Object.entries(what.sheet ?? {})) {
      body.set(component, told.said ?? "");
      body.set(`${component}_notes`, told.notes ?? "");
      if (told.drawn) body.set(`${component}_drawn`, JSON.stringify(told.drawn));
    }
    const encoded = new URLSearchParams(body).toString();
    const response = await fetch(root.dataset.saveUrl, {
      method: "POST",
      body: encoded,
      redirect: "manual",
      keepalive: encoded.length < 60000, // browsers refuse more of what may outlive the page
      credentials: "same-origin",
      headers: { "Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": csrf(), "X-Requested-With": "fetch", Accept: "application/json" },
    });
    if (response.ok) {
      for (const stored of (await response.json()).saved.map(known)) itemAt(stored.position) && learn(itemAt(stored.position), stored);
      return "";
    }
    if (response.type === "opaqueredirect" || [401, 408, 425, 429].includes(response.status) || response.status >= 500) throw new Error("again");
    const answer = await response.json().catch(() => ({}));
    if (answer.stored && settles(item, known(answer.stored))) return "";
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
        ask(itemAt(position));
      } else {
        $("[data-saved]").textContent = "Saved";
      }
    } catch {
      faults += 1;
      if (faults === 1) say("Not saved, trying again");
      // behind the others, so that one that can't be sent holds nothing up, unless something newer of it waits; what
      // was excluded together stays before what was said afterwards
      if (!waiting.has(position)) waiting = position === "remaining" ? new Map([[position, what], ...waiting]) : waiting.set(position, what);
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
    if (unsaved() || items.some((item) => item.clash)) event.preventDefault();
  });

  function conclude(value) {
    if (readOnly) return say("This examination is concluded.");
    if (page.shown !== page.current) return say("Wait until the photograph is shown.");
    page.original(); // a grade is given on the original, never on an edit
    const radio = radios.find((one) => one.value === value);
    radio.checked = true;
    page.current.finding = value;
    mark(page.current);
    say(`Candidate ${page.current.position}: ${labelOf(value)}`);
    later(120);
    if (lacksWorksheet(page.current)) worksheet.open();
  }

  for (const radio of radios) {
    radio.addEventListener("change", () => {
      if (page.shown === page.current) return conclude(radio.value);
      for (const one of radios) one.checked = one.value === page.current.finding;
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

  // What another window saved meanwhile is decided on first: excluding would take the place of what was written here.
  const remainingItems = () => items.filter((item) => !item.finding && !item.clash);
  const excludeForm = $("[data-exclude-form]");
  const excluded = excludeForm?.elements.conclusion.value;
  excludeForm?.addEventListener("submit", (event) => {
    event.preventDefault();
    commit();
    const dialog = question("exclude");
    $("[data-count]", dialog).textContent = many(remainingItems().length);
    dialog.showModal();
  });
  excludeForm && $("[data-yes]", question("exclude")).addEventListener("click", () => {
    question("exclude").close();
    const remaining = remainingItems();
    for (const item of remaining) {
      item.finding = excluded;
      item.refused = false;
      mark(item);
    }
    for (const radio of radios) radio.checked = radio.value === page.current.finding;
    waiting.delete("remaining");
    waiting.set("remaining", { conclusion: excluded, items: remaining });
    refusal = "";
    say("All remaining candidates are excluded.");
    pump();
    focusOnView(); // the button that opened the question is disabled now
  });

  const concludeForm = $("[data-conclude-form]");
  concludeForm?.addEventListener("submit", (event) => {
    if (concludeForm.dataset.sure) return;
    event.preventDefault();
    commit();
    if (items.some((item) => !item.finding || lacksWorksheet(item))) return nextOpen();
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
    concludeForm.elements.seen.value = savedAt(items); // what is stored beside these is not shown here
    concludeForm.dataset.sure = "yes";
    concludeForm.requestSubmit();
  });

  return { mark, tell, commit, conclude, ask, lacksWorksheet, changed: () => later(800) };
};
