// One device: its state, its history as a time line, and any of its numbers over time.

import { actorPath, get } from "./api.js";
import { Chart } from "./chart.js";
import { ago, el, facts, json, moment, number, plural, problem } from "./dom.js";
import { STATES, Stream } from "./stream.js";

const PAGE = 50; // events of the time line that are loaded at a time
const CHARTED = 1000; // events that are looked at for the chart

export function device(main, [type, name = ""]) {
  const source = `${type}/${name}`;
  const state = el("div", {}, "…");
  const version = el("span", { class: "faint" });
  const live = el("span", { class: "state", role: "status" });
  const line = el("ol", { class: "timeline", "aria-label": "History, the latest first" });
  const older = el("button", { type: "button", hidden: true, onclick: () => loadOlder().catch(tell(older)) }, "Older events");
  const field = el("select", { id: "field" });
  const drawn = el("figure", { class: "chart" });
  const chartBox = el("section", { hidden: true, "aria-labelledby": "chart-title" },
    el("div", { class: "head" }, el("h2", { id: "chart-title" }, "Over time"),
      el("label", { htmlFor: "field", class: "hidden" }, "What is drawn"), field), drawn);
  main.append(
    el("nav", { class: "crumbs", "aria-label": "Where this is" }, el("a", { href: "#/fleet" }, "Fleet"), " / ",
      el("a", { href: `#/fleet/${encodeURIComponent(type)}` }, type)),
    el("div", { class: "head" }, el("h1", {}, name), version, live),
    el("div", { class: "two" },
      el("section", { class: "panel", "aria-labelledby": "state-title" }, el("h2", { id: "state-title" }, "State"), state),
      el("div", {}, chartBox,
        el("section", { "aria-labelledby": "history-title" }, el("h2", { id: "history-title" }, "History"), line, older))));

  const abort = new AbortController();
  const options = { signal: abort.signal };
  const path = actorPath(type, name);
  const chart = new Chart(drawn);
  let stream = null;
  let events = []; // for the chart, in the order of their versions
  let oldest = Infinity; // version of the oldest event in the time line
  let newest = 0;
  let again = null;

  async function loadState() {
    const found = await get(path, options);
    version.textContent = found.version ? plural(found.version, "event") : "no event yet";
    const told = found.state && typeof found.state === "object" && !Array.isArray(found.state) ? facts(found.state) : json(found.state);
    state.replaceChildren(told);
    return found.version;
  }

  // Whoever has left the page is told nothing.
  const tell = (where) => (error) => { if (error.name !== "AbortError") where.replaceChildren(problem(error)); };

  async function loadOlder() {
    const after = Math.max(0, oldest - 1 - PAGE);
    const found = await get(`${path}/events?after=${after}&limit=${oldest - 1 - after}`, options);
    older.textContent = "Older events";
    const held = document.activeElement === older;
    const first = line.children.length;
    for (const event of found.events.reverse()) line.append(entry(event));
    oldest = after + 1;
    older.hidden = oldest <= 1;
    if (held && older.hidden) line.children[first]?.querySelector("summary").focus();
  }

  async function begin() {
    let last = 0;
    try {
      last = await loadState();
    } catch (error) {
      if (error.name === "AbortError") return;
      state.replaceChildren(problem(error)); // its history may be there all the same
      last = await lastVersion();
    }
    const after = Math.max(0, last - CHARTED);
    const found = await get(`${path}/events?after=${after}&limit=${CHARTED}`, options);
    events = found.events;
    newest = events.at(-1)?.version ?? 0;
    oldest = Math.max(newest - PAGE, after) + 1;
    line.replaceChildren(...events.filter((event) => event.version >= oldest).reverse().map((event) => entry(event)));
    if (!events.length) line.append(el("li", { class: "faint" }, "Nothing has happened yet."));
    older.hidden = oldest <= 1;
    offerFields();
    follow(events.at(-1)?.position ?? 0);
  }

  async function lastVersion() {
    const found = await get(`/v1/actors/${encodeURIComponent(type)}?limit=1&prefix=${encodeURIComponent(name)}`, options);
    return found.actors[0]?.name === name ? found.actors[0].version : 0;
  }

  // What comes from now on. A pattern has no way to say that a star is meant: what else comes is left out.
  function follow(position) {
    stream = new Stream(new URLSearchParams({ sources: source }), {
      state: (word) => { live.textContent = STATES[word]; live.dataset.state = word; },
      events: (list) => {
        const fresh = list.map((each) => JSON.parse(each.text)).filter((event) => event.source === source && event.version > newest);
        if (!fresh.length) return;
        if (!events.length) line.replaceChildren();
        newest = fresh.at(-1).version;
        for (const event of fresh) line.prepend(entry(event, true));
        events = [...events, ...fresh].slice(-CHARTED);
        offerFields();
        again ??= setTimeout(() => { again = null; loadState().catch(tell(state)); }, 300);
      },
    }, position);
  }

  function offerFields() {
    const found = fieldsOf(events);
    const before = field.value;
    const keys = [...found.keys()];
    if (keys.join() !== [...field.options].map((each) => each.value).join()) {
      field.replaceChildren(...keys.map((key) => el("option", { value: key }, key)));
    }
    field.value = found.has(before) ? before : widest(found);
    chartBox.hidden = !found.size;
    if (found.size) chart.show(field.value, found.get(field.value));
  }

  field.addEventListener("change", () => chart.show(field.value, fieldsOf(events).get(field.value)));
  begin().catch(tell(line.appendChild(el("li"))));
  return () => { abort.abort(); stream?.close(); chart.close(); clearTimeout(again); };
}

// The numbers in the data of events, by name: "event-type: field", also of what is nested.
function fieldsOf(events) {
  const found = new Map();
  const look = (event, value, path) => {
    if (typeof value === "number") {
      const key = `${event.event_type}: ${path}`;
      if (!found.has(key)) found.set(key, []);
      found.get(key).push([Date.parse(event.happened_at) / 1000, value]);
    } else if (value && typeof value === "object" && !Array.isArray(value)) {
      for (const [name, inner] of Object.entries(value)) look(event, inner, path ? `${path}.${name}` : name);
    }
  };
  for (const event of events) look(event, event.data, "");
  for (const points of found.values()) points.sort((one, other) => one[0] - other[0]);
  return new Map([...found].sort(([one], [other]) => (one < other ? -1 : 1)));
}

// What tells most: the field whose values differ most often.
function widest(found) {
  let best = null, most = 0;
  for (const [key, points] of found) {
    const different = new Set(points.map((each) => each[1])).size;
    if (different > most) [best, most] = [key, different];
  }
  return best;
}

function entry(event, fresh = false) {
  const clock = Object.entries(event.vector_clock ?? {});
  const body = el("div", { class: "body" });
  const details = el("details", { ontoggle: () => {
    if (body.childNodes.length) return;
    body.append(
      el("h3", {}, "Data"), facts(event.data),
      el("h3", {}, "When"), facts({ "happened at": `${moment(event.happened_at)} UTC`, "recorded at": `${moment(event.recorded_at)} UTC` }),
      el("h3", {}, "Causes"), facts({ command: event.causation_id, "all of it began with": event.correlation_id, "event id": event.event_id }),
      el("h3", {}, "Clock"), clock.length ? facts(Object.fromEntries(clock)) : el("p", { class: "faint" }, "none"),
      ...(event.metadata && Object.keys(event.metadata).length ? [el("h3", {}, "Metadata"), facts(event.metadata)] : []));
  } },
  el("summary", {}, el("span", { class: `dot ${event.kind}`, title: `${event.kind} event` }),
    el("code", { class: "type" }, event.event_type), el("span", { class: "gist" }, gist(event.data)),
    el("time", { dateTime: event.happened_at, title: `recorded ${ago(event.recorded_at)}` }, moment(event.happened_at))), body);
  return el("li", { class: fresh ? "fresh" : "", "data-version": event.version, "data-position": event.position },
    el("span", { class: "count", title: "version" }, number(event.version)), details);
}

const rounded = (value) => (Number.isInteger(value) ? value : Number(value.toPrecision(6)));

export function gist(data) {
  return Object.entries(data ?? {}).filter(([, value]) => typeof value !== "object")
    .map(([name, value]) => `${name} ${typeof value === "number" ? rounded(value) : value}`).join(", ");
}

