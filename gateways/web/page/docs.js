// Reads /openapi.json and makes a form of each operation. Nothing is fetched from elsewhere.
"use strict";

const made = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// Kept here alone: it is gone when the page is.
let token = "";
const authorized = (headers = {}) => (token ? { ...headers, Authorization: `Bearer ${token}` } : headers);

// A value that fits a schema, as a place to begin.
const example = (schema, components, depth = 0) => {
  if (!schema || depth > 6) return null;
  if (schema.$ref) return example(components[schema.$ref.split("/").pop()], components, depth + 1);
  if ("default" in schema) return schema.default;
  if (schema.enum) return schema.enum[0];
  if ("const" in schema) return schema.const;
  const first = (schema.anyOf || schema.oneOf || schema.allOf || [])[0];
  if (first) return example(first, components, depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "object" || schema.properties) {
    const wanted = Object.entries(schema.properties || {});
    return Object.fromEntries(wanted.map(([name, of]) => [name, example(of, components, depth + 1)]));
  }
  const plain = { array: [], boolean: false, integer: 0, number: 0, string: "" };
  if (schema.format === "date-time") return new Date().toISOString();
  if (schema.format === "uuid") return crypto.randomUUID();
  return type in plain ? plain[type] : null;
};

const send = async (path, method, fields, body, kind, shown) => {
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of fields) {
    const value = input.value.trim();
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === "query") query.append(parameter.name, value);
    else if (value) headers[parameter.name] = value;
  }
  if (body) headers["Content-Type"] = kind;
  const url = path + (query.size ? `?${query}` : "");
  shown.textContent = `${method} ${url}\n`;
  try {
    const answer = await fetch(url, { method, headers: authorized(headers), body: body ? body.value : undefined });
    shown.textContent += `${answer.status}\n`;
    for (const name of ["idempotency-key", "etag", "retry-after"]) {
      if (answer.headers.has(name)) shown.textContent += `${name}: ${answer.headers.get(name)}\n`;
    }
    shown.textContent += "\n";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const json = (answer.headers.get("content-type") || "").includes("json");
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      text += part.value;
      if (!json) shown.textContent = (shown.textContent + part.value).slice(-100000);
    }
    if (json) {
      try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* lines of JSON */ }
      shown.textContent += text;
    }
  } catch (error) {
    shown.textContent += error;
  }
};

const operation = (path, method, described, components) => {
  const fields = (described.parameters || []).map((parameter) => ({
    parameter,
    input: made("input", { placeholder: (parameter.schema || {}).format || "" }),
  }));
  const content = described.requestBody ? Object.entries(described.requestBody.content)[0] : null;
  const body = content && made("textarea", { spellcheck: false });
  if (body) {
    const value = example(content[1].schema, components);
    body.value = content[0].includes("ndjson") ? "" : JSON.stringify(value, null, 2);
  }
  const shown = made("pre", { hidden: true });
  const button = made("button", { textContent: "Send" });
  button.addEventListener("click", () => {
    shown.hidden = false;
    send(path, method, fields, body, content && content[0], shown);
  });
  return made(
    "details", {},
    made("summary", {},
      made("span", { className: "method", textContent: method }),
      made("code", { textContent: path }), ` ${described.summary || ""}`),
    ...fields.map(({ parameter, input }) => made("label", { title: parameter.description || "" },
      made("span", { textContent: parameter.name }), input)),
    ...(body ? [body] : []), button, shown);
};

const load = async () => {
  const main = document.getElementById("operations");
  const answer = await fetch("/openapi.json", { headers: authorized() });
  const api = await answer.json();
  if (!answer.ok) throw new Error(`${api.title} ${api.detail}`);
  const components = api.components.schemas;
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, described] of Object.entries(methods)) {
      const tag = (described.tags || ["system"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(path, method.toUpperCase(), described, components));
    }
  }
  main.replaceChildren(...[...groups].flatMap(([tag, made_]) => [
    made("h2", { textContent: tag }), ...made_]));
};

const show = () => load().catch((error) => {
  document.getElementById("operations").textContent = error.message;
});
document.getElementById("who").addEventListener("submit", (event) => {
  event.preventDefault();
  token = document.getElementById("token").value.trim();
  show();
});
show();
