// Events as they come: filtered by type and source, with their rate; paused, and gone on without a gap.

import { get } from "./api.js";
import { gist } from "./device.js";
import { deviceLink, el, figure, json, moment, number, problem } from "./dom.js";
import { STATES, Stream } from "./stream.js";

const KEPT = 200; // rows that are shown
const RATE_S = 60; // seconds that the rate is drawn for

export function live(main, _, query) {
  const types = filter("types", "Event types", "all, or like flight-*", query);
  const sources = filter("sources", "Devices", "all, or like aircraft/N1*", query);
  const hints = el("datalist", { id: "known-types" });
  types.input.setAttribute("list", "known-types");
  const pause = el("button", { type: "button", class: "main", "aria-pressed": "false", onclick: () => toggle() }, "Pause");
  const state = el("span", { class: "state", role: "status" });
  const rate = el("strong", { class: "big" }, "0");
  const spark = el("canvas", { class: "spark", width: 240, height: 40, "aria-hidden": "true" });
  const received = el("output", {}, "0");
  const through = el("output", {}, "–");
  const list = el("tbody");
  const empty = el("p", { class: "faint" }, "Nothing has come yet. Events are shown as they are committed.");
  main.append(
    el("div", { class: "head" }, el("h1", {}, "Live"), state),
    el("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); begin(); } },
      types.box, sources.box, hints, el("button", { type: "submit" }, "Filter"), pause),
    el("div", { class: "figures" },
      el("div", { class: "rate" }, rate, el("span", { class: "faint" }, "events a second"), spark),
      el("div", { class: "faint" }, "received ", received, ", through position ", through)),
    el("div", { class: "scroll" }, el("table", { class: "events" },
      el("caption", { class: "hidden" }, "Events, the latest first"),
      el("thead", {}, el("tr", {}, ["device", "event", "data", "happened at", "#position"].map((each) => el("th", { scope: "col", class: each.startsWith("#") ? "count" : "" }, each.replace("#", ""))))), list)),
    empty);

  let stream = null, paused = null, waiting = [], frame = 0, count = 0;
  let seconds = Array(RATE_S).fill(0);

  function begin(position = null) {
    stream?.close();
    const asked = new URLSearchParams();
    for (const each of [types, sources]) for (const one of each.values()) asked.append(each.name, one);
    if (position === null) {
      const kept = String(asked);
      history.replaceState(null, "", `#/live${kept ? `?${kept}` : ""}`);
      list.replaceChildren();
      waiting = [];
      count = 0;
      received.textContent = "0";
      empty.hidden = false;
    }
    stream = new Stream(asked, { state: hear, events: take }, position);
  }

  function hear(word, error) {
    state.textContent = STATES[word];
    state.dataset.state = word;
    if (error) state.replaceChildren(problem(error));
  }

  function take(events) {
    count += events.length;
    seconds[RATE_S - 1] += events.length;
    // Only what will be seen is read: many thousands a second may come.
    waiting = waiting.length + events.length > KEPT ? [...waiting, ...events].slice(-KEPT) : waiting.concat(events);
    frame ||= requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    const fresh = waiting.map((each) => row(JSON.parse(each.text))).reverse();
    waiting = [];
    list.prepend(...fresh);
    while (list.children.length > KEPT) list.lastElementChild.remove();
    received.textContent = number(count);
    through.textContent = String(stream.position).split(",").map(number).join(", ");
    empty.hidden = true;
  }

  // A pause ends the stream, and what comes meanwhile is read out of the log when it goes on.
  function toggle() {
    if (paused === null) {
      paused = stream.position;
      stream.close();
      state.textContent = "paused: it goes on here";
      state.dataset.state = "paused";
    } else {
      const position = paused;
      paused = null;
      begin(position);
    }
    pause.textContent = paused === null ? "Pause" : "Go on";
    pause.setAttribute("aria-pressed", String(paused !== null));
  }

  const beat = setInterval(() => {
    const shown = seconds.slice(-4, -1).reduce((sum, each) => sum + each, 0) / 3;
    rate.textContent = figure(shown);
    sparkline(spark, seconds);
    seconds = [...seconds.slice(1), 0];
  }, 1000);

  const keys = (event) => {
    if (event.key !== "p" || event.target.matches("input, select, textarea")) return;
    toggle();
  };
  addEventListener("keydown", keys);
  get("/v1/types").then((found) => {
    const known = new Set(found.types.flatMap((each) => each.event_types.map((kind) => kind.event_type)));
    hints.replaceChildren(...[...known].sort().map((each) => el("option", { value: each })));
  }).catch(() => {}); // hints are all that is missing, and the stream says what is wrong
  begin();
  return () => { stream.close(); clearInterval(beat); cancelAnimationFrame(frame); removeEventListener("keydown", keys); };
}

function filter(name, label, hint, query) {
  const input = el("input", { id: name, placeholder: hint, value: query.getAll(name).join(", "), autocomplete: "off", spellcheck: false });
  return {
    name, input,
    box: el("div", {}, el("label", { htmlFor: name }, label), input),
    values: () => input.value.split(",").map((each) => each.trim()).filter(Boolean),
  };
}

function row(event) {
  return el("tr", { "data-position": event.position },
    el("td", {}, el("a", { href: deviceLink(event.source) }, event.source)),
    el("td", {}, el("span", { class: `dot ${event.kind}`, title: `${event.kind} event` }), el("code", {}, event.event_type)),
    el("td", { class: "gist" }, gist(event.data) || json(event.data)),
    el("td", {}, el("time", { dateTime: event.happened_at }, moment(event.happened_at))),
    el("td", { class: "count" }, number(event.position)));
}

function sparkline(canvas, values) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = getComputedStyle(canvas).color;
  const most = Math.max(...values, 1), step = width / values.length;
  values.forEach((value, index) => {
    const tall = value ? Math.max((value / most) * height, 1) : 0;
    pen.fillRect(index * step, height - tall, Math.max(step - 1, 1), tall);
  });
}
