// A page nobody touches takes itself away: what it shows goes first, then the session, then the address.
// Pages that refresh themselves don't count; typing and pointing do, in any window of this browser.
(() => {
  "use strict";
  const { idleSeconds, activeUrl, lockedUrl } = document.body.dataset;
  if (!idleSeconds) return;
  const KEY = "mugsearch-active";
  const TELL = 60_000;
  let mine = Date.now();
  let told = Date.now();
  let locking = false;

  const last = () => {
    try {
      return Math.max(mine, Number(localStorage.getItem(KEY)) || 0);
    } catch {
      return mine;
    }
  };
  const touch = () => {
    mine = Date.now();
    try {
      localStorage.setItem(KEY, String(mine));
    } catch {
      // windows then count for themselves
    }
  };
  const headers = () => ({ "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content, "X-Requested-With": "fetch" });

  const check = async () => {
    if (locking || Date.now() - last() < idleSeconds * 1000) return;
    locking = true;
    const given = headers();
    document.body.replaceChildren();
    document.title = "Locked";
    try {
      await fetch(lockedUrl, { method: "POST", headers: given, keepalive: true });
    } finally {
      location.replace(lockedUrl);
    }
  };

  const acted = () => {
    check(); // a computer that slept: what wakes it is not activity
    if (locking) return;
    touch();
    if (Date.now() - told < TELL) return;
    told = Date.now();
    fetch(activeUrl, { method: "POST", headers: headers() }).then((answer) => {
      if (answer.status === 401) location.replace(lockedUrl);
    }, () => {});
  };

  touch();
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "scroll", "touchstart"]) {
    document.addEventListener(kind, acted, { passive: true, capture: true });
  }
  setInterval(check, Math.min(5000, idleSeconds * 250));
  document.addEventListener("visibilitychange", check);
  // A page that the browser has kept for "back" may be of a session that has ended.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
})();
