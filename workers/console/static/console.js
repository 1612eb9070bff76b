// What makes the pages quicker to use. Without it each of them works all the same, by links, forms and reloading.
"use strict";

const LIVE_MS = 2000;
const CHORD_MS = 1200;

// the policy lets HTML be made from text by this one rule alone: it is used for what our own server sends
const trusted = window.trustedTypes ? trustedTypes.createPolicy("console", { createHTML: (html) => html }) : { createHTML: (html) => html };

function all(selector, within = document) {
  return [...within.querySelectorAll(selector)];
}

// --- what changes: a part of the page is asked for again and again while somebody may see it

function replaceWith(place, html) {
  const next = new DOMParser().parseFromString(trusted.createHTML(html), "text/html").body;
  update(place, next);
}

// Spaces between elements are no part of what is compared: a parser leaves some of them out.
function parts(node) {
  return [...node.childNodes].filter((child) => child.nodeType !== Node.TEXT_NODE || child.nodeValue.trim());
}

// Only what differs is changed, so that focus, selections and what was opened stay.
function update(old, next) {
  const before = parts(old);
  const after = parts(next);
  after.forEach((node, i) => {
    const at = before[i];
    if (!at) {
      old.append(document.importNode(node, true));
    } else if (at.nodeType !== node.nodeType || at.nodeName !== node.nodeName || at.id !== node.id) {
      at.replaceWith(document.importNode(node, true));
    } else if (node.nodeType === Node.ELEMENT_NODE) {
      for (const name of node.getAttributeNames()) if (at.getAttribute(name) !== node.getAttribute(name)) at.setAttribute(name, node.getAttribute(name));
      for (const name of at.getAttributeNames()) if (!node.hasAttribute(name) && !(name === "open" && at.nodeName === "DETAILS")) at.removeAttribute(name);
      update(at, node);
    } else if (at.nodeValue !== node.nodeValue) {
      at.nodeValue = node.nodeValue;
    }
  });
  before.slice(after.length).forEach((node) => node.remove());
}

function lost(words) {
  let notice = document.getElementById("lost");
  if (!words) {
    if (notice) notice.remove();
    return;
  }
  if (!notice) {
    notice = document.createElement("p");
    notice.id = "lost";
    notice.className = "notice warn lost";
    notice.setAttribute("role", "alert");
    document.body.append(notice);
  }
  notice.textContent = words;
}

async function refresh(place) {
  try {
    const answer = await fetch(place.dataset.live, { credentials: "same-origin", cache: "no-store", headers: { Accept: "text/html" } });
    if (answer.status === 401) {
      lost("The session is over. Open the link that the console printed.");
      return false;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    replaceWith(place, await answer.text());
    lost("");
  } catch {
    lost("The console does not answer. What is shown may be old.");
  }
  return true;
}

function keepLive(place) {
  let timer = 0;
  const stop = () => clearTimeout(timer);
  const next = () => {
    stop();
    timer = setTimeout(async () => {
      if (!document.hidden && (await refresh(place))) next();
    }, LIVE_MS);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : next()));
  next();
}

// --- colours

function currentTheme() {
  return document.documentElement.dataset.theme || "";
}

function showTheme(button) {
  button.setAttribute("aria-label", `Colours: ${currentTheme() || "as the system"}`);
  button.title = button.getAttribute("aria-label");
}

function changeTheme(button) {
  const theme = { "": "dark", dark: "light", light: "" }[currentTheme()];
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try {
    if (theme) localStorage.setItem("theme", theme);
    else localStorage.removeItem("theme");
  } catch {
    // it holds for this page alone then
  }
  showTheme(button);
}

// --- a document: a finding and its place show each other

function light(name, on) {
  for (const place of all(`[data-mark="${CSS.escape(name)}"]`)) place.classList.toggle("on", on);
}

function linkMarks() {
  const nameAt = (event) => event.target instanceof Element && event.target.closest("[data-mark]")?.dataset.mark;
  let lit = [];
  const show = (event) => {
    lit.forEach((name) => light(name, false));
    const name = nameAt(event);
    lit = name ? [name] : [];
    lit.forEach((one) => light(one, true));
  };
  for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, show);
  document.addEventListener("click", (event) => {
    const mark = event.target instanceof Element && event.target.closest(".text mark");
    if (mark) document.getElementById(`row-${mark.dataset.mark}`)?.scrollIntoView({ block: "nearest" });
  });
}

// --- keys

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.nodeName));
}

function rowLinks() {
  return all("table[data-rows] tbody th[scope=row] a").filter((link) => link.offsetParent !== null);
}

function step(by) {
  const links = rowLinks();
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1);
  links[next].focus();
  links[next].scrollIntoView({ block: "nearest" });
}

function turn(relation) {
  document.querySelector(`a[rel=${relation}]`)?.click();
}

let chord = 0;

function onKey(event) {
  if (event.key === "Escape" && isTyping(event.target)) {
    event.target.blur();
    return;
  }
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (Date.now() < chord) {
    chord = 0;
    const link = document.querySelector(`.pages a[data-key="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
    }
    return;
  }
  const does = {
    g: () => (chord = Date.now() + CHORD_MS),
    "?": () => document.getElementById("keys")?.showModal(),
    "/": () => document.querySelector("input[type=search], textarea")?.focus(),
    j: () => step(1),
    k: () => step(-1),
    "[": () => turn("prev"),
    "]": () => turn("next"),
  }[event.key];
  if (does) {
    event.preventDefault();
    does();
  }
}

// --- commands that may be copied

function offerCopies() {
  if (!navigator.clipboard) return;
  document.documentElement.classList.add("copies");
  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element && event.target.closest("button.copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

// ---

document.querySelector(".pages [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
all("[data-live]").forEach(keepLive);
offerCopies();
document.addEventListener("keydown", onKey);
if (document.querySelector("[data-panel]")) linkMarks();
const themeButton = document.getElementById("theme");
if (themeButton) {
  themeButton.hidden = false;
  showTheme(themeButton);
  themeButton.addEventListener("click", () => changeTheme(themeButton));
}
document.getElementById("keys-link")?.addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("keys")?.showModal();
});
document.getElementById("sql")?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form.requestSubmit();
});
