// The page as it is, read again when the event log has grown, and now and then: countdowns and polls have no event.
"use strict";
(() => {
  document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

  const stream = document.body.dataset.live;
  const light = document.getElementById("live");
  const words = document.getElementById("live-text");
  if (!stream || !light || !window.EventSource) return;

  const PAUSE = 1500; // milliseconds between two looks, however much happens
  const USUAL = 10000;
  let timer = 0;
  let looked = 0;
  let looking = false;

  const say = (state, text) => {
    light.dataset.state = state;
    if (words.textContent !== text) words.textContent = text;
  };

  let pressed = false; // between the two halves of a click nothing may be replaced
  document.addEventListener("pointerdown", () => { pressed = true; });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => setTimeout(() => { pressed = false; }));

  // A part in which somebody is about to do something stays as it is.
  const isBusy = (part) => pressed || part.querySelector("details[open]") || (part.contains(document.activeElement) &&
    document.activeElement.matches("input"));

  const replace = (part, fresh) => {
    if (part.innerHTML === fresh.innerHTML) return;
    const controls = "a[href], button, summary, pre";
    const at = [...part.querySelectorAll(controls)].indexOf(document.activeElement);
    part.replaceChildren(...fresh.childNodes);
    if (at >= 0) part.querySelectorAll(controls)[at]?.focus({ preventScroll: true });
  };

  const look = async () => {
    if (looking) return;
    looking = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Look-Again": "1" } });
      if (answer.redirected) return location.reload(); // the session is over
      if (!answer.ok) return say("lost", "Not up to date");
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-part]")) {
        const other = fresh.getElementById(part.id);
        if (other && !isBusy(part)) replace(part, other);
      }
    } catch {
      say("lost", "Not reachable");
    } finally {
      looking = false;
      looked = Date.now();
      soon(USUAL);
    }
  };

  const soon = (pause) => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, Math.max(pause, looked + PAUSE - Date.now()));
  };

  const source = new EventSource(stream);
  source.onopen = () => { say("live", "Live"); soon(0); };
  source.onmessage = () => soon(0);
  source.onerror = () => say("lost", "Connecting …");
  document.addEventListener("visibilitychange", () => soon(0));
})();
