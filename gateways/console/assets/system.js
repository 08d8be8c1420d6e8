// The system: its processes, how far writer and bus have come, and its settings.

import { get, poll } from "./api.js";
import { bytes, el, figure, number, plain, plural, problem, span, table } from "./dom.js";

export function system(main) {
  const lead = el("p", { class: "lead" }, "…");
  const tiles = el("div", { class: "tiles" });
  const processes = el("section", { "aria-labelledby": "processes-title" });
  const settings = el("section", { "aria-labelledby": "settings-title" });
  main.append(el("div", { class: "head" }, el("h1", {}, "System"), lead), tiles, processes, settings);
  processes.append(el("h2", { id: "processes-title" }, "Processes"), el("div"));

  let before = null;
  const show = (found, error) => {
    if (error) { lead.replaceChildren(problem(error)); return; }
    const now = { at: Date.parse(found.asked_at) / 1000, by: new Map(found.processes.map((each) => [each.name, each])) };
    const rates = ratesBetween(before, now);
    before = now;
    const unwell = found.processes.filter((each) => each.away || each.trouble);
    lead.textContent = `${found.namespace}: ${plural(found.processes.length, "process", "processes")}, ${unwell.length ? `${number(unwell.length)} not well` : "all well"}`;
    tiles.replaceChildren(...tilesOf(now.by, rates));
    const held = processes.contains(document.activeElement);
    processes.lastElementChild.replaceWith(table("Processes",
      ["process", "machine", "#memory", "#up", "#a second", "how it is"], found.processes.map((each) => row(each, rates.get(each.name)))));
    if (held) processes.lastElementChild.focus();
  };
  const stop = poll((options) => get("/v1/system", options), show, 2000);
  get("/v1/settings").then((found) => showSettings(settings, found.settings))
    .catch((error) => settings.replaceChildren(problem(error)));
  return stop;
}

// What a process has done more than at the last look, a second. One that has begun anew counts from nothing.
function ratesBetween(before, now) {
  const rates = new Map();
  for (const [name, each] of now.by) {
    const old = before?.by.get(name);
    const done = doneBy(each), was = old && old.pid === each.pid ? doneBy(old) : null;
    if (done === null || was === null || now.at <= before.at) continue;
    rates.set(name, Math.max(0, done - was) / (now.at - before.at));
  }
  return rates;
}

const doneBy = ({ facts }) => facts?.commands ?? facts?.requests ?? facts?.position ?? null;

function tilesOf(by, rates) {
  const all = [...by.values()];
  const sum = (name) => all.reduce((total, each) => total + (each.facts?.[name] ?? 0), 0);
  const hosts = all.filter((each) => each.kind?.endsWith("host"));
  // One of each in each partition.
  const writers = all.filter((each) => each.kind === "writer"), buses = all.filter((each) => each.kind === "bus");
  const reached = (found) => found.length && found.every((each) => each.facts) ? found.reduce((total, each) => total + each.facts.position, 0) : null;
  const committed = reached(writers), seen = reached(buses);
  const behind = committed === null || seen === null ? null : Math.max(0, committed - seen);
  const rate = writers.reduce((total, each) => total + (rates.get(each.name) ?? 0), 0);
  return [
    tile("committed", committed === null ? "–" : number(committed), writers.some((each) => rates.has(each.name)) ? `${figure(rate)} events a second` : "…"),
    tile("the bus is behind by", behind === null ? "–" : number(behind), `${plural(sum("subscriptions"), "subscription")}`),
    tile("waiting", number(sum("unanswered")), `commands at ${plural(hosts.length, "host")}, ${plural(sum("backlog"), "append")} at the writer`),
    tile("devices in memory", number(sum("residents")), `${number(sum("evicted"))} have left it`),
    tile("HTTP", number(sum("requests")), `requests, ${plural(sum("streams"), "stream")} open`),
    tile("private memory", bytes(all.reduce((total, each) => total + (each.private_bytes ?? 0), 0)), "of all processes"),
  ];
}

const tile = (name, value, more) => el("div", { class: "tile" }, el("span", { class: "faint" }, name), el("strong", { class: "big" }, value), el("span", { class: "faint" }, more));

function row(each, rate) {
  if (each.away) {
    return el("tr", { class: "bad" }, el("th", { scope: "row" }, each.name), el("td", { colSpan: 4 }), el("td", {}, el("span", { class: "badge failed" }, "away"), ` ${each.away}`));
  }
  return el("tr", { class: each.trouble ? "bad" : "" },
    el("th", { scope: "row", title: `pid ${each.pid}, ${each.node} in vector clocks` }, each.name),
    el("td", { title: each.machine }, el("code", {}, each.machine.slice(0, 8))),
    el("td", { class: "count", title: `${bytes(each.rss_bytes)} with what it shares` }, bytes(each.private_bytes)),
    el("td", { class: "count" }, span(each.up_s), each.restarted ? el("span", { class: "badge", title: "it had ended, and Ray started it anew" }, "restarted") : null),
    el("td", { class: "count" }, rate === undefined ? "" : figure(rate)),
    el("td", {}, each.trouble ? el("span", { class: "trouble" }, each.trouble, " ") : null, told(each)));
}

function told({ kind, facts }) {
  if (!facts) return "not started yet";
  switch (kind) {
    case "writer": return `at position ${number(facts.position)}, ${plural(facts.backlog, "append")} waiting`;
    case "bus": return `at position ${number(facts.position)}, ${plural(facts.subscriptions, "subscription")}`;
    case "gateway": return `${facts.ready ? "ready" : "not ready"} at ${facts.address}, ${plural(facts.under_way, "request")} under way, ${plural(facts.streams, "stream")}`;
    case "directory": return `${facts.embedded ? "an embedded PostgreSQL: " : ""}${facts.store}${facts.draining ? ", draining" : ""}`;
    default: return `${plural(facts.residents, "device")} in memory, ${plural(facts.unanswered, "command")} waiting`;
  }
}

function showSettings(section, all) {
  const box = el("input", { type: "checkbox", id: "changed", onchange: () => draw() });
  const find = el("input", { type: "search", id: "setting", autocomplete: "off", placeholder: "part of its name", oninput: () => draw() });
  const shown = el("div");
  const draw = () => {
    const rows = all.filter((each) => (!box.checked || each.from !== "default") && each.key.includes(find.value.trim())).map((each) => el("tr", { class: each.from === "default" ? "faint" : "" },
      el("th", { scope: "row" }, el("code", {}, each.key)), el("td", { class: "value" }, plain(each.value)), el("td", {}, each.from)));
    shown.replaceChildren(rows.length ? table("Settings", ["setting", "value", "from"], rows) : el("p", { class: "faint" }, "There is none."));
  };
  section.append(el("h2", { id: "settings-title" }, "Settings"),
    el("div", { class: "filters" }, el("div", {}, el("label", { htmlFor: "setting" }, "Find a setting"), find),
      el("label", { class: "check" }, box, " only what is not at its default")), shown);
  draw();
}
