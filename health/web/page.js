// Keeps the page alive: fetches its live part again when the server says that
// something has happened, keeps times true, and makes the tree one for keyboards.

const live = document.getElementById("live");
const link = document.getElementById("link");
const pause = document.getElementById("pause");
const form = document.querySelector("form.ask");
const operand = document.getElementById("node"); // where nodes can be operated

document.documentElement.classList.add("js");

// ---- the live part

const soon = 250; // ms after an event
const often = 1000; // while things happen: an event is told before all its effects can be seen
const seldom = 5000; // otherwise: probes have news, too
const busy = 10000; // how long after an event things are said to happen

let was = live.cloneNode(true); // what the server said last, untouched
let opened = new URLSearchParams(location.search).getAll("open");
let timer, asking, again;
let due = 0; // when the timer fires
let rested = 0; // until when the server rests, whatever happens
let seen = Date.now(); // when the server answered last
let stirred = 0; // when an event came last
let skew = 0; // our clock beyond the server's
let paused = false;
let reconnecting = "";
let missed = 0;

function question() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.append(name, value);
  for (const path of opened) query.append("open", path);
  return String(query);
}

// refresh fetches the live part, one at a time, and sees to the next time.
async function refresh() {
  clearTimeout(timer);
  if (asking) return void (again = true);
  asking = true;
  const asked = Date.now();
  try {
    if (!paused && !document.hidden) await load();
  } catch (err) {
    lost(err.message);
  }
  asking = false;
  const [now, took] = [Date.now(), Date.now() - asked];
  const pace = now - stirred < busy || !("log" in live.dataset) ? often : seldom;
  rested = now + 3 * took; // events ask for at most a quarter of the server's time
  later(again ? soon : Math.max(pace, 10 * took)); // without them it is a tenth
  if (stirred >= asked) sooner();
  again = false;
}

// here is the address of what is beside the page, without the token that may
// stand in the page's own: nothing can be fetched from an address that has one.
function here(path) {
  const url = new URL(path, location.href);
  url.username = url.password = "";
  return url;
}

function later(ms) {
  clearTimeout(timer);
  due = Date.now() + ms;
  timer = setTimeout(refresh, ms);
}

// sooner brings the next time forward, and never puts it off: events that keep
// coming would do so for ever.
function sooner() {
  const at = Math.max(Date.now() + soon, rested);
  if (at < due) later(at - Date.now());
}

async function load() {
  const answer = await fetch(here("fragment?" + question()), { cache: "no-store", signal: AbortSignal.timeout(8000) });
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  const now = live.cloneNode(false);
  now.innerHTML = await answer.text(); // escaped by the server
  if (paused || selecting()) return;
  const focus = document.activeElement;
  morph(live, was, now);
  if (focus?.isConnected) focus.focus({ preventScroll: true }); // it may have been moved
  was = now;
  seen = Date.now();
  reconnecting = source?.readyState === EventSource.OPEN ? "" : reconnecting;
  settle();
}

// settle does what a new live part needs.
function settle() {
  const header = live.querySelector("header");
  skew = Date.now() - Date.parse(header.dataset.now);
  document.title = header.dataset.title;
  grow();
  tick();
}

function selecting() {
  const selection = getSelection();
  return !selection.isCollapsed && live.contains(selection.anchorNode);
}

// morph makes the live node, which was as was says, what now says. What is the
// same is left alone, and so is what we have added to it: focus, roles, folds.
function morph(node, was, now) {
  if (was.isEqualNode(now)) return;
  if (was.nodeName !== now.nodeName || now.nodeType !== Node.ELEMENT_NODE) {
    node.replaceWith(now.cloneNode(true));
    return;
  }
  for (const { name } of was.attributes) if (!now.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of now.attributes) if (was.getAttribute(name) !== value) node.setAttribute(name, value);
  if (!now.matches("time[data-past], time[data-left]")) morphChildren(node, was, now);
}

function morphChildren(node, was, now) {
  const before = new Map();
  const [mine, keys] = [[...node.childNodes], keyed(now)];
  const stay = new Set(keys);
  keyed(was).forEach((key, i) => {
    if (stay.has(key)) before.set(key, [mine[i], was.childNodes[i]]);
    else mine[i].remove();
  });
  let at = node.firstChild;
  keys.forEach((key, i) => {
    const next = now.childNodes[i];
    const [child, its] = before.get(key) ?? [];
    if (!child) return void node.insertBefore(next.cloneNode(true), at);
    if (child !== at) node.insertBefore(child, at);
    at = child.nextSibling;
    morph(child, its, next);
  });
}

// keyed returns a key for each child: its own, or its kind and place.
function keyed(parent) {
  const count = {};
  return Array.from(parent.childNodes, (child) => {
    const kind = child.dataset?.key ?? child.nodeName;
    count[kind] = (count[kind] ?? 0) + 1;
    return kind + "\n" + count[kind];
  });
}

// ---- the link

let source;

// connect follows the events, while somebody looks: a browser opens few connections
// to one server, for all its tabs together.
function connect() {
  source?.close();
  if (document.hidden) return;
  source = new EventSource(here("events"));
  source.onopen = () => {
    reconnecting = "";
    later(0);
  };
  source.onmessage = stir;
  source.addEventListener("dropped", (e) => {
    missed += JSON.parse(e.data).count;
    stir();
  });
  source.addEventListener("restarted", stir);
  source.addEventListener("beat", () => (seen = Date.now()));
  source.onerror = () => {
    lost("the connection is gone");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000); // it was refused: the browser gives up then
  };
}

function stir() {
  seen = stirred = Date.now();
  if (!asking) sooner(); // else refresh does
}

function lost(why) {
  reconnecting = why;
  tell();
}

// tell shows whether what is seen is now, and if not, since when.
function tell() {
  const old = reconnecting !== "" && Date.now() - seen > 2000;
  const state = paused ? "paused" : reconnecting ? "reconnecting" : "live";
  let text = { paused: "Paused", reconnecting: "Reconnecting", live: "Live" }[state];
  if (old) text = `Reconnecting: no answer since ${new Date(seen).toLocaleTimeString()} (${reconnecting}). What you see is old.`;
  if (missed && state === "live") text += `, ${missed} events came too fast to be sent`;
  if (link.textContent !== text) link.textContent = text;
  link.parentElement.dataset.state = state;
  live.classList.toggle("stale", old);
}

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", paused);
  pause.textContent = paused ? "Resume" : "Pause";
  tell();
  if (!paused) refresh();
});

document.addEventListener("visibilitychange", () => {
  connect();
  refresh();
});

// ---- times

function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [m, h] = [Math.floor(s / 60), Math.floor(s / 3600)];
  if (!m) return `${s} s`;
  if (!h) return `${m} min ${s % 60} s`;
  return h < 48 ? `${h} h ${m % 60} min` : `${Math.floor(h / 24)} d ${h % 24} h`;
}

function countdown(ms) {
  return ms < 10000 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : span(ms);
}

// tick words all times anew; those that nobody sees wait.
function tick() {
  if (paused || document.hidden) return;
  const now = Date.now() - skew;
  for (const time of live.querySelectorAll("time[data-past]")) {
    write(time, time.dataset.past.replace("%s", span(now - Date.parse(time.dateTime))));
  }
  for (const time of live.querySelectorAll("time[data-left]")) {
    write(time, time.dataset.left.replace("%s", countdown(Date.parse(time.dateTime) - now)));
  }
  for (const bar of live.querySelectorAll("rect[data-to]")) {
    const [from, to] = [Date.parse(bar.dataset.from), Date.parse(bar.dataset.to)];
    bar.setAttribute("width", Math.min(100, Math.max(0, (100 * (now - from)) / (to - from))).toFixed(1));
  }
  tell();
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- the tree, as the ARIA pattern has it

const shut = new Set(); // paths that the reader has folded
let current; // path of the node that a Tab leads to

const itemsOf = (tree) => [...tree.querySelectorAll("[role=treeitem]")].filter((item) => item.offsetParent !== null);
const pathOf = (item) => item.dataset.key === "more" ? pathOf(item.parentElement.closest("li")) + "/…" : item.dataset.key;

// grow gives the rows of the tree their roles, folds and one Tab stop.
function grow() {
  const tree = live.querySelector(".tree");
  if (!tree) return;
  tree.setAttribute("role", "tree");
  tree.setAttribute("aria-labelledby", "tree-title");
  for (const group of tree.querySelectorAll("ul")) group.setAttribute("role", "group");
  for (const item of tree.querySelectorAll("li")) {
    item.setAttribute("role", "treeitem");
    item.setAttribute("tabindex", "-1");
    if (item.querySelector(":scope > ul > li")) item.setAttribute("aria-expanded", !shut.has(pathOf(item)));
    else item.removeAttribute("aria-expanded");
    item.querySelector(":scope > a")?.setAttribute("tabindex", "-1");
  }
  const items = itemsOf(tree);
  const stop = items.find((item) => pathOf(item) === current) ?? items[0];
  stop?.setAttribute("tabindex", "0");
}

function go(item) {
  if (!item) return;
  item.closest(".tree").querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
  item.setAttribute("tabindex", "0");
  current = pathOf(item);
  if (operand && item.matches("[data-key]:not(.more)")) operand.value = current;
  item.focus();
}

function fold(item, yes) {
  if (!item.hasAttribute("aria-expanded")) return;
  const path = pathOf(item);
  yes ? shut.add(path) : shut.delete(path);
  item.setAttribute("aria-expanded", !yes);
}

const isOpen = (item) => item.getAttribute("aria-expanded") === "true";
const parentOf = (item) => item.parentElement.closest("[role=treeitem]");

function press(item) {
  const more = item.querySelector(":scope > a");
  if (more) unfold(more);
  else fold(item, isOpen(item));
}

// unfold asks the server for the children of a large pool.
function unfold(more) {
  opened = [...new Set([...opened, ...new URL(more.href).searchParams.getAll("open")])];
  remember();
  refresh();
}

const keys = {
  ArrowDown: (item, items) => go(items[items.indexOf(item) + 1]),
  ArrowUp: (item, items) => go(items[items.indexOf(item) - 1]),
  Home: (item, items) => go(items[0]),
  End: (item, items) => go(items.at(-1)),
  ArrowRight: (item) => (isOpen(item) ? go(item.querySelector(":scope > ul > li")) : fold(item, false)),
  ArrowLeft: (item) => (isOpen(item) ? fold(item, true) : go(parentOf(item))),
  Enter: press,
  " ": press,
};

live.addEventListener("keydown", (e) => {
  const item = e.target.closest?.("[role=treeitem]");
  if (!item || e.ctrlKey || e.altKey || e.metaKey) return;
  const items = itemsOf(item.closest(".tree"));
  if (keys[e.key]) keys[e.key](item, items);
  else if (e.key === "*") for (const sibling of item.parentElement.children) fold(sibling, false);
  else if (e.key.length === 1) typed(e.key, item, items);
  else return;
  e.preventDefault();
});

let typing = "";
let typedAt = 0;

// typed goes to the next node whose name begins as was typed.
function typed(key, item, items) {
  typing = (Date.now() - typedAt < 700 ? typing : "") + key.toLowerCase();
  typedAt = Date.now();
  const at = items.indexOf(item) + (typing.length === 1 ? 1 : 0);
  const begins = (i) => i.querySelector(":scope > .row > .name")?.textContent.toLowerCase().startsWith(typing);
  go([...items.slice(at), ...items.slice(0, at)].find(begins));
}

live.addEventListener("click", (e) => {
  const copy = e.target.closest("[data-copy]");
  if (copy) return void take(copy);
  const item = e.target.closest("[role=treeitem]");
  if (!item || !getSelection().isCollapsed) return;
  if (e.target.closest("a")) e.preventDefault();
  else if (!e.target.closest(".row")) return;
  go(item);
  press(item);
});

// ---- copy, find

// take copies an incident's report, or shows it where that is not allowed.
async function take(button) {
  const report = fetch(here(button.dataset.copy + "?text")).then((answer) => answer.text());
  try {
    const text = report.then((text) => new Blob([text], { type: "text/plain" }));
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
    button.textContent = "Copied";
  } catch {
    location.href = button.dataset.copy + "?text";
  }
  setTimeout(() => (button.textContent = "Copy as text"), 2000);
}

function remember() {
  history.replaceState(null, "", "?" + question());
}

let waits;
form.addEventListener("input", () => {
  clearTimeout(waits);
  waits = setTimeout(() => (remember(), refresh()), 150);
});
form.addEventListener("submit", (e) => {
  e.preventDefault();
  remember();
  refresh();
});

settle();
tell();
connect();
later(often);
setInterval(tick, 250);
