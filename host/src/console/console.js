"use strict";

// Rows kept on the page; older ones are fetched on demand.
const MAX_ROWS = 500;
// Entries shown when the page opens.
const FIRST_ROWS = 100;
const OLDER_ROWS = 100;
const MAX_ANSWERS = 5;
// After a broken stream: doubles up to the second value.
const RETRY_MS = [250, 5000];

const by = id => document.getElementById(id);
const token = { get: () => sessionStorage.getItem("replog-token"), set: text => sessionStorage.setItem("replog-token", text) };

// What the page knows. Entries are a dense run of orders.
const page = { state: null, entries: [], paused: false, filter: "", tail: null, reset: null };

// ---- the node's API

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || `the node answered ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  const response = await fetch(path, { ...options, headers, cache: "no-store" });
  if (response.status === 401) askForToken();
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
  return response;
}

async function send(method, path, body) {
  const headers = { "content-type": "application/json" };
  return (await call(path, { method, headers, body })).json();
}

// Server-sent events by fetch: EventSource sends no token.
async function* events(path, signal, seen) {
  const headers = { accept: "text/event-stream" };
  if (seen) headers["last-event-id"] = seen;
  const response = await call(path, { signal, headers });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { type: "message", data: "", id: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("data:")) event.data += line.slice(5).trimStart();
        else if (line.startsWith("event:")) event.type = line.slice(6).trim();
        else if (line.startsWith("id:")) event.id = line.slice(3).trim();
      }
      if (event.data) yield event;
    }
  }
}

const pause = (ms, signal) => new Promise(resolve => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); });
});

// Follows a stream for ever; `path` and the id that was `seen` last are asked anew for each connection.
async function follow(path, take, signal, seen = () => "") {
  let delay = RETRY_MS[0];
  while (!signal?.aborted) {
    try {
      for await (const event of events(await path(), signal, seen())) {
        delay = RETRY_MS[0];
        take(event);
      }
    } catch (error) {
      if (signal?.aborted) return;
      link(error.status ? error.message : "no connection", "bad");
    }
    await pause(delay, signal);
    delay = Math.min(2 * delay, RETRY_MS[1]);
  }
}

// ---- drawing

const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

const label = (target, text, kind = "") => {
  target.textContent = text;
  target.className = `badge ${kind}`;
};

function link(text, kind) { label(by("link"), text, kind); }

const KINDS = { ok: "good", healthy: "good", streaming: "good", degraded: "warn", suspected: "warn", syncing: "warn", joining: "warn", recovering: "warn", probing: "warn" };
// A healthy node that does not stream, or is of another log, is not well.
const worst = (status, stage) => status === "healthy" && stage !== "streaming" ? stage : status;
const kind = word => KINDS[word] || "bad";
const count = number => number == null ? "?" : number.toLocaleString("en");
const run = (first, many) => many > 1 ? `${first} to ${first + many - 1}` : `${first}`;

function tile(name, word, title, facts) {
  const list = element("dl");
  for (const [term, value] of facts) {
    if (value != null && value !== "") list.append(element("div", {}, element("dt", {}, term), element("dd", {}, String(value))));
  }
  return element("li", { class: kind(word) }, element("h3", {}, name, element("span", { class: `badge ${kind(word)}`, title }, word)), list);
}

function drawNodes(state) {
  const own = tile(state.node, state.status, state.reason || "", [
    ["role", state.role], ["length", count(state.length)], ["epoch", state.epoch], ["lag", state.lag == null ? null : count(state.lag)],
    ["durability", state.durability], ["state", state.state], ["whole", state.whole == null ? null : state.whole ? "yes" : "no"],
  ]);
  const others = Object.entries(state.secondaries || {}).map(([name, node]) => tile(name, worst(node.status, node.stage), "", [
    ["status", node.status],
    ["role", "secondary"], ["holds", node.stage === "absent" ? null : `0..${node.acked_through}`], ["lag", node.stage === "absent" ? null : count(node.lag)], ["stage", node.stage],
    ["digest", node.stage === "diverged" ? "differs" : node.stage === "streaming" ? "equal" : "not known"], ["retries", count(node.retries)],
  ]));
  if (state.master) {
    const { hears, length, http } = state.master;
    const master = tile(hears || "no master", hears ? "healthy" : "unhealthy", "", [["role", "master"], ["length", length == null ? null : count(length)]]);
    if (/^https?:/.test(http)) master.append(element("a", { href: http, rel: "noreferrer" }, http));
    others.push(master);
  }
  by("nodes").replaceChildren(own, ...others);
  const facts = [["log", state.log_id], ["digest", state.digest], ["NATS", state.nats_denied || (state.nats_connected ? "connected" : "not connected")]];
  by("facts").replaceChildren(...facts.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value || "none"))));
}

function drawWaiting(state) {
  const writes = state.waiting || [];
  by("waiting-section").hidden = state.role !== "master";
  by("waiting-count").textContent = count(state.pending_writes || 0);
  by("waiting-none").hidden = writes.length > 0;
  by("waiting").hidden = writes.length === 0;
  by("waiting").tBodies[0].replaceChildren(...writes.map(write => element("tr", {},
    element("td", { class: "number" }, run(write.order, write.count)), element("td", { class: "number" }, String(write.w)),
    element("td", {}, write.nodes.join(", ")), element("td", {}, element("strong", {}, write.missing.join(", ")), write.needs < write.missing.length ? ` (any ${write.needs})` : ""))));
  const more = (state.pending_writes || 0) - writes.length;
  by("waiting-more").hidden = more <= 0 || writes.length === 0;
  by("waiting-more").textContent = `and ${count(more)} more`;
}

function drawForms(state) {
  by("append-section").hidden = state.role !== "master";
  const nodes = state.nodes || 0;
  const w = by("w");
  if (w.options.length !== nodes) {
    w.replaceChildren(...Array.from({ length: nodes }, (_, at) => element("option", { value: at + 1 }, `${at + 1} of ${nodes}`)));
    w.value = String(nodes);
  }
  by("first-step").hidden = state.role !== "master";
  by("faults-section").hidden = !state.faults;
  if (state.faults && !by("faults").contains(document.activeElement)) {
    for (const [field, value] of Object.entries(state.faults)) by(field).value = value;
  }
}

function lanes(state) {
  const known = node => node.stage === "absent" ? null : node.acked_through;
  const secondaries = Object.entries(state?.secondaries || {}).map(([name, node]) => [name, known(node)]);
  return secondaries.length ? [[state.node, state.length], ...secondaries] : [];
}

// One node's part in an entry's row; `through` is null where the master has not heard of the node.
function lane(name, order, through) {
  if (through == null) return element("td", { class: "lane", title: `${name} has not said whether it holds ${order}` }, "?");
  const held = order < through;
  return element("td", { class: held ? "lane held" : "lane", title: `${name} ${held ? "holds" : "does not hold"} ${order}` }, held ? "●" : "○");
}

const matches = entry => !page.filter || `${entry.order} ${entry.id} ${entry.text}`.toLowerCase().includes(page.filter);

function drawLog() {
  const { state, entries } = page;
  const columns = lanes(state);
  by("columns").replaceChildren(
    element("th", { scope: "col", class: "number" }, "Order"), element("th", { scope: "col", class: "id" }, "Id"), element("th", { scope: "col" }, "Message"),
    ...columns.map(([name]) => element("th", { scope: "col", class: "lane" }, name)));
  const shown = entries.filter(matches);
  const body = by("entries").tBodies[0];
  const known = new Map([...body.rows].map(row => [row.dataset.key, row]));
  body.replaceChildren(...shown.toReversed().map(entry => {
    const key = `${entry.epoch} ${entry.order}`;
    const row = known.get(key) || element("tr", { "data-key": key, class: "fresh" },
      element("td", { class: "number" }, String(entry.order)), element("td", { class: "id", title: entry.id }, entry.id), element("td", { class: "message" }, entry.text));
    while (row.cells.length > 3) row.deleteCell(3);
    for (const [name, through] of columns) {
      row.append(lane(name, entry.order, through));
    }
    return row;
  }));
  by("length").textContent = state ? state.length === 1 ? "1 entry" : `${count(state.length)} entries` : "";
  by("empty").hidden = !state || state.length > 0;
  by("entries").hidden = entries.length === 0;
  by("older").disabled = entries.length === 0 || entries[0].order === 0;
  const behind = page.paused && state && entries.length ? state.length - entries.at(-1).order - 1 : 0;
  const of = page.filter ? `${count(shown.length)} of the ${count(entries.length)} entries on this page` : `the newest ${count(entries.length)}`;
  by("shown").textContent = entries.length ? behind > 0 ? `${of}; ${count(behind)} more since the pause` : of : "";
}

// One drawing for all that came since the last frame.
let due = false;
function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; drawLog(); });
}

// ---- the node's state and its log, as they come

function onState(event) {
  const state = JSON.parse(event.data);
  const last = page.entries.at(-1);
  const other = page.state && (page.state.log_id !== state.log_id || last && state.length <= last.order);
  page.state = state;
  document.title = `${state.node} · replog`;
  by("node").textContent = state.node;
  label(by("role"), state.role);
  label(by("status"), state.status, kind(state.status));
  by("reason").hidden = !state.reason;
  by("reason").textContent = state.reason || "";
  link("live", "good");
  drawNodes(state);
  drawForms(state);
  drawWaiting(state);
  if (other) restart();
  else if (!page.tail && !page.paused) tail();
  draw();
}

// The log was emptied, or is another one.
function restart() {
  page.tail?.abort();
  page.tail = null;
  page.entries = [];
  if (!page.paused) tail();
}

// A message is shown as its text: a number may have more digits than a JavaScript number. It is the line's last
// member, and no string has a quote that is not escaped.
const read = line => {
  const { order, epoch, id } = JSON.parse(line);
  const text = line.slice(line.indexOf('"message":') + 10, line.lastIndexOf("}"));
  return { order, epoch, id, text: text.startsWith('"') ? JSON.parse(text) : text };
};

function tail() {
  const stream = page.tail = new AbortController();
  let length = page.state.length;
  // Behind a cut, the last state may be that of the log before it.
  const newest = async () => length ??= (await (await call("health")).json()).length;
  const from = async () => page.entries.length ? page.entries.at(-1).order + 1 : Math.max(0, await newest() - FIRST_ROWS);
  follow(async () => `tail?from=${await from()}`, event => {
    if (stream.signal.aborted) return;
    if (event.type === "cut") {
      [page.entries, length] = [[], null];
      return draw();
    }
    if (event.type !== "message") return;
    const entry = { ...read(event.data), seen: event.id };
    const last = page.entries.at(-1);
    if (last && entry.order !== last.order + 1) return;
    page.entries.push(entry);
    if (page.entries.length > MAX_ROWS) page.entries.splice(0, page.entries.length - MAX_ROWS);
    draw();
  }, stream.signal, () => page.entries.at(-1)?.seen);
}

async function older() {
  const first = page.entries[0].order;
  const from = Math.max(0, first - OLDER_ROWS);
  by("older").disabled = true;
  try {
    const headers = { accept: "application/x-ndjson" };
    const answer = await (await call(`full_messages?from=${from}&limit=${first - from}`, { headers })).text();
    const entries = answer.split("\n").filter(line => line).map(read);
    if (page.entries[0]?.order === first) page.entries = [...entries, ...page.entries].slice(0, MAX_ROWS);
    setPaused(true);
  } catch (error) {
    link(error.message, "bad");
  }
  draw();
}

function setPaused(paused) {
  if (page.paused === paused) return;
  page.paused = paused;
  by("pause").setAttribute("aria-pressed", String(paused));
  page.tail?.abort();
  page.tail = null;
  const newest = page.state ? page.state.length - 1 : -1;
  if (!paused && page.entries.length && newest - page.entries.at(-1).order > FIRST_ROWS) page.entries = [];
  if (!paused && page.state) tail();
  draw();
}

// ---- forms

// What is JSON is sent as it was typed, digit by digit; anything else is a string.
const asMessage = text => { try { JSON.parse(text); return text; } catch { return JSON.stringify(text); } };

function describe(answer) {
  const again = answer.duplicate ? ", which was there already" : "";
  return `order ${answer.order}${again}, held by ${answer.nodes.join(", ")}`;
}

async function append(event) {
  event.preventDefault();
  const text = by("message").value;
  const w = Number(by("w").value);
  const timeout = by("timeout").value ? `, "timeout_ms": ${Number(by("timeout").value)}` : "";
  const body = `{"message": ${asMessage(text)}, "w": ${w}${timeout}}`;
  by("message").value = "";
  by("message").focus();
  const line = element("li", {}, `${text}: waiting for w = ${w} …`);
  by("answers").prepend(line);
  while (by("answers").children.length > MAX_ANSWERS) by("answers").lastChild.remove();
  try {
    line.textContent = `${text}: ${describe(await send("POST", "messages", body))}`;
    line.className = "good";
  } catch (error) {
    line.textContent = `${text}: ${error.status ? error.message : "no answer; whether it is in the log is not known"}`;
    line.className = error.problem?.applied === true ? "warn" : "bad";
  }
}

async function inject(faults) {
  try {
    await send("PUT", "faults", JSON.stringify(faults));
    by("faults-answer").textContent = "in force";
  } catch (error) {
    by("faults-answer").textContent = error.message;
  }
}

function askForToken() { by("token-section").hidden = false; }

by("token-form").addEventListener("submit", event => {
  event.preventDefault();
  token.set(by("token").value);
  by("token").value = "";
  by("token-section").hidden = true;
});
by("append").addEventListener("submit", append);
by("faults").addEventListener("submit", event => {
  event.preventDefault();
  inject(Object.fromEntries(["delay_ms", "error_rate", "drop_rate"].map(field => [field, Number(by(field).value)])));
});
by("no-faults").addEventListener("click", () => {
  for (const field of ["delay_ms", "error_rate", "drop_rate"]) by(field).value = 0;
  inject({});
});
by("pause").addEventListener("click", () => setPaused(!page.paused));
by("older").addEventListener("click", older);
by("filter").addEventListener("input", event => { page.filter = event.target.value.toLowerCase(); draw(); });
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "p") setPaused(!page.paused);
  else if (event.key === "/") { event.preventDefault(); by("filter").focus(); }
});

follow(() => "events", onState);
