// What pages do beyond their HTML: the design system's components, the time
// left, and live news from the application. Without it every page still works.
import { initAll } from "./vendor/nhsuk-frontend.min.js";

initAll();
startTimer(document.querySelector("[data-seconds-left]"));
if (document.body.dataset.live !== "off") watch(document.body.dataset.live);
offerCopy(document.querySelector("[data-copy]"));

// The browser may show a page again without asking for it (back button).
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// startTimer counts the time left down, and says it aloud when five minutes,
// two minutes and one minute are left. At the end the page is asked for again: the
// application then says what to do.
function startTimer(box) {
  if (!box) return;
  const end = Date.now() + Number(box.dataset.secondsLeft) * 1000;
  const shown = box.querySelector("[data-timer]");
  const said = box.querySelector("[data-timer-announcement]");
  const marks = [300, 120, 60].filter((mark) => mark < Number(box.dataset.secondsLeft));
  const tick = () => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    const words = duration(left);
    if (shown.textContent !== words) shown.textContent = words;
    box.classList.toggle("lk-timer--short", left <= 300);
    if (marks.length && left <= marks[0]) {
      marks.shift();
      said.textContent = `You have ${words} left to unlock your smartcard.`;
    }
    if (left > 0) return;
    clearInterval(timer);
    location.replace(location.pathname);
  };
  const timer = setInterval(tick, 1000);
}

// duration matches ui.Duration.
function duration(seconds) {
  const minutes = seconds >= 60;
  const n = minutes ? Math.round(seconds / 60) : seconds;
  return `${n} ${minutes ? "minute" : "second"}${n === 1 ? "" : "s"}`;
}

// watch keeps the page's live part up to date. It also tells the application
// that a window is open, so every page listens.
function watch(what) {
  const query = new URLSearchParams(location.search); // what is wrong with the form stays beside it
  query.set("page", what || "none");
  const events = new EventSource(`/events?${query}`);
  const live = document.querySelector("[data-live-part]");
  const say = announcer(live);
  events.addEventListener("part", (event) => {
    if (!live) return;
    replace(live, JSON.parse(event.data));
    say();
  });
  events.addEventListener("go", (event) => {
    events.close();
    location.assign(JSON.parse(event.data));
  });
  let lost;
  events.addEventListener("open", () => {
    clearTimeout(lost);
    lost = undefined;
    const notice = document.getElementById("lost");
    if (notice) notice.remove();
  });
  events.addEventListener("error", () => {
    // The browser tries again every few seconds, and fails each time.
    lost ??= setTimeout(showLost, 4000);
  });
  // A page on its way out loses its connection too.
  addEventListener("pagehide", () => {
    clearTimeout(lost);
    events.close();
  });
}

// announcer gives a function that has the live part's one sentence (data-say)
// read aloud. The part itself is no live region: all of it would be read at
// each change. What changes again at once, such as a card that is being read,
// is said only as it ends up.
function announcer(live) {
  const sentence = () => live?.querySelector("[data-say]")?.dataset.say ?? "";
  const said = document.querySelector("[data-live-said]");
  let last = sentence();
  let soon;
  return () => {
    clearTimeout(soon);
    soon = setTimeout(() => {
      if (sentence() === last) return;
      last = sentence();
      said.textContent = last;
    }, 500);
  };
}

// replace puts new HTML from the application into the live part, and leaves
// the person where they were: same choice, same focus.
function replace(live, html) {
  if (live.dataset.shown === html) return;
  const chosen = live.querySelector("input:checked");
  const focused = document.activeElement && live.contains(document.activeElement) ? document.activeElement : null;
  const key = focused && (focused.id || focused.textContent.trim());
  live.innerHTML = html;
  live.dataset.shown = html;
  if (chosen) {
    const again = [...live.querySelectorAll("input")].find((input) => input.value === chosen.value);
    if (again) again.checked = true;
  }
  if (focused) {
    const again = [...live.querySelectorAll("a, button, input")].find((e) => (e.id || e.textContent.trim()) === key);
    (again || live).focus();
  }
}

// showLost says that the application has ended: nothing on the page would work.
function showLost() {
  if (document.getElementById("lost")) return;
  const notice = document.createElement("div");
  notice.id = "lost";
  notice.className = "nhsuk-inset-text";
  notice.setAttribute("role", "alert");
  const words = document.createElement("p");
  words.textContent = "Latchkey is no longer running. Close this window and open Latchkey again.";
  notice.append(words);
  document.getElementById("maincontent").prepend(notice);
}

// offerCopy shows a button that copies the report. It stays hidden where the
// browser cannot: the text can be selected by hand.
function offerCopy(button) {
  if (!button || !navigator.clipboard) return;
  const said = document.querySelector("[data-copied]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.querySelector("[data-report]").textContent);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "The browser did not allow it. Select the text and copy it.";
    }
  });
}
