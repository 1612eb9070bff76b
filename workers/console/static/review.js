// A reviewer's page: one key decides, and words marked in the text become a range of code points. Without it buttons and fields do the same.
"use strict";

const MARKED_CHARS = 120;

// --- keys

let sent = false;
let typed = "";

function pressed(button) {
  if (button && !button.disabled && !sent) button.click();
}

function labelButtons() {
  return all("#labels button");
}

// `c`: the other label, or of several the one whose number follows
function choose() {
  const buttons = labelButtons();
  if (buttons.length === 1) pressed(buttons[0]);
  else if (buttons.length) {
    typed = "";
    buttons[0].focus();
  }
}

// Whoever speaks to the computer, or types by mistake, can switch the keys off.
function keysDecide() {
  return document.getElementById("keys-on")?.checked ?? true;
}

function offerSwitch(box) {
  document.getElementById("keys-switch").hidden = false;
  try {
    box.checked = localStorage.getItem("review-keys") !== "off";
    box.addEventListener("change", () => localStorage.setItem("review-keys", box.checked ? "on" : "off"));
    box.addEventListener("change", () => box.blur());
  } catch {
    // it holds for this page alone then
  }
}

// A number counts as soon as no other can be meant; of one that may go on the button has the focus, and Enter takes it.
function digit(key) {
  const buttons = labelButtons();
  typed += key;
  const n = Number(typed);
  if (n < 1 || n > buttons.length) typed = "";
  else if (10 * n > buttons.length) pressed(buttons[n - 1]);
  else buttons[n - 1].focus();
}

// Before the keys that all pages have: after `g` a letter names a page, and decides nothing.
function onReviewKey(event) {
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey || event.repeat || Date.now() < chord) return;
  if (document.querySelector("dialog[open]") || !keysDecide()) return;
  const isChoosing = document.activeElement?.closest("#labels");
  if (isChoosing && /^[0-9]$/.test(event.key)) digit(event.key);
  else if (event.key === "c") choose();
  else if (event.key.length === 1) pressed(document.querySelector(`button[data-press="${CSS.escape(event.key)}"]`));
  else if (event.key === "Escape" && isChoosing) document.activeElement.blur();
}

document.addEventListener("keydown", onReviewKey, { capture: true });
// a page is sent once, however often it is clicked; the list of keys, a form too, is only closed
document.addEventListener("submit", (event) => {
  if (event.target.method === "dialog") return;
  if (sent) event.preventDefault();
  else sent = true;
});
window.addEventListener("pageshow", () => (sent = false));

// --- places in the text: what is shown as a chip is one code point of it

function pieces(box) {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const chip = node.parentElement.closest(".unseen");
    found.push({ node, chip, points: chip ? ["\ufffc"] : [...node.data] });
  }
  return found;
}

// How many code points of the shown part lie before a place; of a place in a chip, before it or behind it.
function pointsBefore(box, container, at, isEnd) {
  const range = document.createRange();
  range.setStart(box, 0);
  range.setEnd(container, at);
  let n = 0;
  for (const { node, chip, points } of pieces(box)) {
    if (range.comparePoint(node, node.length) <= 0) n += points.length;
    else if (node !== container) break;
    else return n + (chip ? Number(isEnd && at > 0) : [...node.data.slice(0, at)].length);
  }
  return n;
}

// The part of the page that shows the code points [start, end) of the shown part; null where it is empty.
function rangeOf(box, start, end) {
  const range = document.createRange();
  let n = 0;
  let isOpen = false;
  for (const { node, chip, points } of pieces(box)) {
    const last = n + points.length;
    if (!isOpen && start < last) {
      isOpen = true;
      if (chip) range.setStartBefore(chip);
      else range.setStart(node, points.slice(0, Math.max(0, start - n)).join("").length);
    }
    if (isOpen && end <= last) {
      if (chip) range.setEndAfter(chip);
      else range.setEnd(node, points.slice(0, end - n).join("").length);
      return range;
    }
    n = last;
  }
  return null;
}

function offerMarking(box) {
  const [start, end, told] = ["start", "end", "marked"].map((id) => document.getElementById(id));
  const begin = Number(box.dataset.begin);
  const given = () => [Number(start.value) - begin, Number(end.value) - begin];

  const show = () => {
    const [from, to] = given();
    const points = pieces(box).flatMap((piece) => piece.points);
    const isRange = from >= 0 && from < to && to <= points.length;
    const words = isRange ? points.slice(from, to) : [];
    told.textContent = words.slice(0, MARKED_CHARS).join("") + (words.length > MARKED_CHARS ? "…" : "");
    if (!window.Highlight) return;
    CSS.highlights.clear();
    const isOther = start.value !== box.dataset.start || end.value !== box.dataset.end;
    const range = isRange && isOther ? rangeOf(box, from, to) : null;
    if (range) CSS.highlights.set("proposed", new Highlight(range));
  };

  // what was marked, without the spaces around it
  const take = () => {
    if (isTyping(document.activeElement)) return;
    const selection = window.getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return;
    const range = selection.getRangeAt(0).cloneRange();
    if (!box.contains(range.startContainer)) return;
    // a paragraph that is marked by three clicks may end at the beginning of what follows the text
    if (!box.contains(range.endContainer)) range.setEnd(box, box.childNodes.length);
    const points = pieces(box).flatMap((piece) => piece.points);
    let from = pointsBefore(box, range.startContainer, range.startOffset, false);
    let to = pointsBefore(box, range.endContainer, range.endOffset, true);
    while (from < to && /\s/.test(points[from])) from += 1;
    while (from < to && /\s/.test(points[to - 1])) to -= 1;
    if (from === to) return;
    start.value = begin + from;
    end.value = begin + to;
    show();
  };

  let timer = 0;
  document.addEventListener("selectionchange", () => {
    clearTimeout(timer);
    timer = setTimeout(take, 60);
  });
  for (const field of [start, end]) field.addEventListener("input", show);
  show();
}

const keysSwitch = document.getElementById("keys-on");
if (keysSwitch) offerSwitch(keysSwitch);
const textBox = document.getElementById("text");
if (textBox && document.getElementById("marking")) offerMarking(textBox);
document.getElementById("now")?.scrollIntoView({ block: "center" });
