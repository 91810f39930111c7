// Security keys. A form with data-key="get" or "create" asks the key for what is in data-key-options and sends its answer.
(() => {
  "use strict";
  const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const ids = (some) => (some || []).map((one) => ({ ...one, id: decode(one.id) }));

  const asked = (options) => {
    const { publicKey } = options;
    const made = { ...publicKey, challenge: decode(publicKey.challenge) };
    if (publicKey.user) made.user = { ...publicKey.user, id: decode(publicKey.user.id) };
    if (publicKey.excludeCredentials) made.excludeCredentials = ids(publicKey.excludeCredentials);
    if (publicKey.allowCredentials) made.allowCredentials = ids(publicKey.allowCredentials);
    return { publicKey: made };
  };

  const answered = (credential) => {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[name]) response[name] = encode(credential.response[name]);
    }
    return { id: credential.id, rawId: encode(credential.rawId), type: credential.type, response, clientExtensionResults: credential.getClientExtensionResults() };
  };

  for (const form of document.querySelectorAll("form[data-key]")) {
    const error = form.querySelector("[data-key-error]");
    const say = (text) => {
      error.textContent = text;
      error.hidden = false;
    };
    // before app.js, which would mark the form as busy
    form.addEventListener("submit", async (event) => {
      if (form.elements.key.value) return;
      event.preventDefault();
      event.stopPropagation();
      if (!window.PublicKeyCredential) return say("This browser knows no security keys, or the page is not served over https.");
      error.hidden = true;
      try {
        const credential = await navigator.credentials[form.dataset.key](asked(JSON.parse(form.dataset.keyOptions)));
        form.elements.key.value = JSON.stringify(answered(credential));
        form.requestSubmit();
      } catch (problem) {
        say(problem.name === "InvalidStateError" ? "You have added this key already." : "The key gave no answer. Try it once more.");
      }
    });
  }
})();
