// Fetches the page's live part again, every second, or more slowly if that is
// work for the server: it is to spend at most a tenth of its time on us.

const live = document.getElementById("live");
const link = document.getElementById("link");
const every = 1000;

let shown = "";
let seen = Date.now(); // when the server last answered

async function refresh() {
  const asked = Date.now();
  try {
    const answer = await fetch("fragment", { cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    show(await answer.text());
    seen = Date.now();
    connected(true);
  } catch (err) {
    connected(false, err);
  }
  setTimeout(refresh, Math.max(every, 10 * (Date.now() - asked)));
}

// show replaces the live part, unless that would take a selection away, and
// keeps what the reader has folded, and where the focus is.
function show(html) {
  if (html === shown || selecting()) return;
  const folded = folds();
  const focus = document.activeElement?.closest?.("details[data-path]")?.dataset.path;
  live.innerHTML = shown = html; // escaped by the server
  for (const node of live.querySelectorAll("details[data-path]")) {
    if (folded.has(node.dataset.path)) node.open = folded.get(node.dataset.path);
    if (node.dataset.path === focus) node.firstElementChild.focus({ preventScroll: true });
  }
  document.title = live.querySelector("header").dataset.title;
}

// folds is what the reader has folded or unfolded, by path.
function folds() {
  const map = new Map();
  for (const node of live.querySelectorAll("details[data-path]")) {
    if (node.open !== "open" in node.dataset) map.set(node.dataset.path, node.open);
  }
  return map;
}

function selecting() {
  const selection = getSelection();
  return !selection.isCollapsed && live.contains(selection.anchorNode);
}

function connected(yes, err) {
  const stale = !yes && Date.now() - seen > 2 * every;
  live.classList.toggle("stale", stale);
  link.hidden = !stale;
  if (stale) {
    link.textContent = `No answer since ${new Date(seen).toLocaleTimeString()} (${err.message}). What you see is old.`;
  }
}

setTimeout(refresh, every);
