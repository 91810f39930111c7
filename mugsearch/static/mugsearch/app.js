// mugsearch: the little behaviour every page shares. No page needs it to work; the server decides everything.
//
//   <form data-confirm="Question?" data-confirm-title="…" data-confirm-action="Expunge" data-confirm-danger>
//   <div class="drop" data-file-drop><input type="file"> <div data-file-preview hidden></div></div>
//   <div data-face-picker>             boxes on the photograph and radio buttons beside it, kept together
//   <button data-opens="dialog-id">, <button data-closes>, <dialog data-help> (opens with "?")
//   hx-confirm="Question?"             asks in the same dialog
(() => {
  "use strict";

  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // ------------------------------------------------------------ questions

  /** Asks in a modal dialog; resolves to true or false. The focus returns to where it was. */
  function ask({ question, title, action, danger }) {
    return new Promise((resolve) => {
      const no = element("button", { class: "button", type: "button", value: "" }, "Cancel");
      const yes = element("button", { class: `button ${danger ? "button--danger" : "button--primary"}`, type: "button" }, action || "Continue");
      const heading = element("h2", { class: "dialog__title", id: "confirm-title" }, title || "Are you sure?");
      const dialog = element(
        "dialog",
        { class: "dialog", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
        heading,
        element("p", { class: "dialog__body", id: "confirm-text" }, question),
        element("div", { class: "dialog__actions" }, no, yes),
      );
      let answer = false;
      no.addEventListener("click", () => dialog.close());
      yes.addEventListener("click", () => {
        answer = true;
        dialog.close();
      });
      dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(answer);
      });
      document.body.append(dialog);
      dialog.showModal();
      no.focus();
    });
  }

  document.addEventListener("htmx:confirm", (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    const { dataset } = event.detail.elt;
    ask({
      question: event.detail.question,
      title: dataset.confirmTitle,
      action: dataset.confirmAction,
      danger: "confirmDanger" in dataset,
    }).then((yes) => yes && event.detail.issueRequest(true));
  });

  // ------------------------------------------------------------ forms: ask first, send once

  const confirmed = new WeakSet();
  const BUSY = "is-busy";

  const release = (form) => {
    form.removeAttribute("aria-busy");
    for (const button of form.querySelectorAll(`.${BUSY}`)) {
      button.classList.remove(BUSY);
      button.disabled = false;
    }
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || event.defaultPrevented || form.method === "dialog") return;
    if (form.dataset.confirm && !confirmed.has(form)) {
      event.preventDefault();
      const { confirm: question, confirmTitle: title, confirmAction: action } = form.dataset;
      if (await ask({ question, title, action, danger: "confirmDanger" in form.dataset })) {
        confirmed.add(form);
        form.requestSubmit(event.submitter);
        confirmed.delete(form);
      }
      return;
    }
    if (form.matches("[hx-post], [hx-get], [hx-put], [hx-delete], [data-resubmit]")) return;
    if (form.method !== "post") return;
    if (form.getAttribute("aria-busy") === "true") {
      event.preventDefault();
      return;
    }
    form.setAttribute("aria-busy", "true");
    const button = event.submitter || form.querySelector("button[type=submit], button:not([type])");
    // after this turn, so that the name and value of the button are still sent
    setTimeout(() => {
      if (!button) return;
      button.classList.add(BUSY);
      button.disabled = true;
    });
  });

  // a page shown again from the browser's memory must not stay "busy"
  window.addEventListener("pageshow", () => document.querySelectorAll("form[aria-busy]").forEach(release));

  // ------------------------------------------------------------ files

  const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

  /** Draws to a canvas: a blob: address in an <img> would need a hole in the security policy. */
  async function preview(input, box) {
    box.replaceChildren();
    box.hidden = input.files.length === 0;
    if (box.hidden) return;
    const file = input.files[0];
    const name = input.files.length > 1 ? `${input.files.length} files, the first: ${file.name}` : file.name;
    const facts = element("p", { class: "muted small" }, size([...input.files].reduce((sum, one) => sum + one.size, 0)));
    box.append(element("div", {}, element("p", { class: "drop__name" }, name), facts));
    if (!file.type.startsWith("image/") && file.type !== "") return;
    try {
      const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
      if (input.files[0] !== file) return;
      const scale = Math.min(1, 352 / picture.width, 448 / picture.height);
      const canvas = element("canvas", { class: "drop__canvas", role: "img", "aria-label": "The chosen image" });
      canvas.width = Math.max(1, Math.round(picture.width * scale));
      canvas.height = Math.max(1, Math.round(picture.height * scale));
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      facts.append(` · ${picture.width} × ${picture.height} pixels`);
      picture.close();
      box.prepend(canvas);
    } catch {
      if (file.type.startsWith("image/")) facts.append(" · this browser cannot show it; the server decides whether it can be read");
    }
  }

  document.addEventListener("change", (event) => {
    const box = event.target.closest?.("[data-file-drop]")?.querySelector("[data-file-preview]");
    if (box && event.target.type === "file") preview(event.target, box);
  });

  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const drop = event.target.closest?.("[data-file-drop]");
      if (!drop) return;
      event.preventDefault();
      drop.classList.toggle("is-over", kind === "dragover");
      const input = drop.querySelector("input[type=file]");
      if (kind !== "drop" || !event.dataTransfer.files.length || input.disabled) return;
      if (!input.multiple && event.dataTransfer.files.length > 1) {
        const box = drop.querySelector("[data-file-preview]");
        box.hidden = false;
        box.replaceChildren(element("p", { class: "field__error" }, "Only one file can be taken here."));
        return;
      }
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }

  // ------------------------------------------------------------ faces

  function markFaces(picker) {
    for (const box of picker.querySelectorAll("[data-face]")) {
      const radio = picker.querySelector(`input[type=radio][value="${CSS.escape(box.dataset.face)}"]`);
      box.classList.toggle("is-chosen", Boolean(radio?.checked));
      box.classList.toggle("is-focused", Boolean(radio?.matches(":focus-visible")));
    }
  }

  for (const kind of ["change", "focusin", "focusout"]) {
    document.addEventListener(kind, (event) => {
      const picker = event.target.closest?.("[data-face-picker]");
      if (picker) requestAnimationFrame(() => markFaces(picker));
    });
  }

  document.addEventListener("click", (event) => {
    const box = event.target.closest?.("[data-face-picker] [data-face]");
    if (!box || box.closest("a")) return;
    const picker = box.closest("[data-face-picker]");
    const radio = picker.querySelector(`input[type=radio][value="${CSS.escape(box.dataset.face)}"]`);
    if (!radio) return;
    radio.focus();
    if (!radio.checked) radio.click();
    markFaces(picker);
  });

  // ------------------------------------------------------------ dialogs and keys

  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens)?.showModal();
    event.target.closest?.("[data-closes]")?.closest("dialog")?.close();
    if (event.target instanceof HTMLDialogElement && event.target.hasAttribute("data-help")) event.target.close(); // the backdrop
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input:not([type=radio], [type=checkbox], [type=range]), textarea, select")) return;
    const help = document.querySelector("dialog[data-help]");
    if (!help || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    help.showModal();
  });

  // ------------------------------------------------------------ a page that refreshes itself says so when it cannot

  const LOST = "lost-connection";
  const lost = (text) => {
    const alerts = document.getElementById("page-alerts");
    if (!alerts || document.getElementById(LOST)) return;
    alerts.append(element("div", { class: "alert alert--warning", id: LOST }, element("p", {}, text)));
  };
  document.addEventListener("htmx:sendError", () => lost("The server cannot be reached. What you see may be out of date; this page keeps trying."));
  document.addEventListener("htmx:responseError", () => lost("The server could not answer. What you see may be out of date; load the page again."));
  document.addEventListener("htmx:afterOnLoad", (event) => {
    if (event.detail.successful !== false) document.getElementById(LOST)?.remove();
  });

  // a table that is wider than its frame can be scrolled with the keyboard
  const frames = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  const watchTables = () => document.querySelectorAll(".table-wrap").forEach((frame) => frames.observe(frame));
  document.addEventListener("htmx:afterSettle", watchTables);
  watchTables();

  document.querySelector("[data-focus-first]")?.focus();
})();
