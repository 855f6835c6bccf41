"use strict";

const by = id => document.getElementById(id);
let api = null;

const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

// ---- words

// The little Markdown that descriptions have: paragraphs, lists, `code`.
const inline = text => text.split(/(`[^`]+`)/).map(part => part.startsWith("`") && part.length > 1 ? element("code", {}, part.slice(1, -1)) : part);

function words(text = "") {
  return text.split("\n\n").filter(Boolean).map(block => block.startsWith("- ")
    ? element("ul", {}, ...block.split("\n").map(line => element("li", {}, ...inline(line.slice(2)))))
    : element("p", {}, ...inline(block)));
}

const followed = thing => thing?.$ref ? thing.$ref.slice(2).split("/").reduce((at, name) => at[name], api) : thing;
const named = thing => thing?.$ref?.split("/").pop();

// A schema as a few words, with links to the named ones.
function type(schema = {}) {
  const name = named(schema);
  if (name) return [element("a", { href: `#schema-${name}` }, name)];
  if (schema.const !== undefined) return [element("code", {}, JSON.stringify(schema.const))];
  if (schema.enum) return [schema.enum.map(value => JSON.stringify(value)).join(" | ")];
  const either = schema.anyOf || schema.oneOf || schema.allOf;
  if (either) return either.flatMap((one, nth) => nth ? [" or ", ...type(one)] : type(one));
  if (schema.items) return ["array of ", ...type(schema.items)];
  const values = schema.additionalProperties || Object.values(schema.patternProperties || {})[0];
  if (schema.type === "object" && values) return ["object of ", ...type(values)];
  return [[].concat(schema.type || "any JSON value").join(" or ")];
}

// 2^64 - 1 is all that a number can be, and no limit to tell. (It is read as 2^64 here.)
const is_limit = number => number !== undefined && number < 2 ** 64;

function limits(schema) {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, pattern } = schema;
  const range = (least, most, unit) => [least === undefined ? null : `from ${least}`, is_limit(most) ? `to ${most}` : null, unit].filter(Boolean).join(" ");
  const told = [];
  if (minimum !== undefined || is_limit(maximum)) told.push(range(minimum, maximum));
  if (maxLength !== undefined) told.push(range(minLength, maxLength, "characters"));
  if (maxItems !== undefined) told.push(range(minItems, maxItems, "elements"));
  if (pattern) told.push(pattern);
  return told.join(", ");
}

// ---- drawing

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map(text => element("th", { scope: "col" }, text)));
  const body = rows.map(cells => element("tr", {}, ...cells.map(cell => element("td", {}, ...cell))));
  return element("div", { class: "scroll" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function paste(text) {
  const copy = element("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  });
  // Only pages from this machine or by HTTPS may copy.
  return element("div", { class: "paste" }, element("pre", { tabindex: "0" }, text), ...(navigator.clipboard ? [copy] : []));
}

const NDJSON = "application/x-ndjson";

// An example as it is sent. Lines of JSON are described as the array of what they are.
function sent(media, example, indent) {
  if (typeof example === "string") return example;
  if (media === NDJSON) return example.map(line => JSON.stringify(line)).join("\n");
  return JSON.stringify(example, null, indent);
}
const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;

function curl(method, path, operation) {
  const example = parameter => parameter.example ?? followed(parameter.schema)?.examples?.[0];
  const parameters = operation.parameters || [];
  const filled = parameters.filter(one => one.in === "path").reduce((at, one) => at.replace(`{${one.name}}`, example(one)), path);
  const parts = ["curl"];
  if (method !== "get") parts.push("-X", method.toUpperCase());
  parts.push(quoted(new URL(filled.slice(1), new URL(".", location.href)).href));
  if (operation.security?.length) parts.push("-H", "\"Authorization: Bearer $REPLOG_TOKEN\"");
  const [media, body] = Object.entries(operation.requestBody?.content || {})[0] || [];
  if (media) parts.push("-H", quoted(`Content-Type: ${media}`), "--data-binary", quoted(sent(media, body.example)));
  if (Object.keys(operation.responses[200]?.content || {}).includes("text/event-stream")) parts.splice(1, 0, "-N");
  return parts.join(" ");
}

function contents(content = {}) {
  return Object.entries(content).flatMap(([media, { schema, example }]) => {
    const data = schema.properties?.data?.contentSchema;
    return [element("p", {}, element("code", {}, media), " ", ...(media === NDJSON ? ["each line: ", ...type(schema.items)] : data ? ["data of each event: ", ...type(data)] : type(schema))),
      ...(example === undefined ? [] : [element("pre", { tabindex: "0" }, sent(media, example, 2))])];
  });
}

function responses(all) {
  return Object.entries(all).map(([status, one]) => {
    const response = followed(one);
    const [reason, ...rest] = (response.description || "").split("\n\n");
    const headers = Object.keys(response.headers || {});
    const told = headers.length ? [element("p", { class: "hint" }, `Headers: ${headers.join(", ")}`)] : [];
    return [[element("strong", {}, status)], [...inline(reason), ...words(rest.join("\n\n")), ...told, ...contents(response.content).filter(() => status < 400)]];
  });
}

function operation(path, method, described) {
  const { summary, description, parameters = [], requestBody, security } = described;
  const scope = security?.flatMap(one => Object.values(one).flat())[0];
  const inside = element("div", {}, ...words(description), element("h3", {}, "Try it"), paste(curl(method, path, described)));
  if (parameters.length) {
    inside.append(element("h3", {}, "Parameters"), table(["Name", "In", "Type", "Meaning"], parameters.map(one => {
      const schema = followed(one.schema);
      const range = limits(schema);
      return [[element("code", {}, one.name)], [one.in], [...type(one.schema), range ? ` ${range}` : ""], inline(one.description || "")];
    })));
  }
  if (requestBody) inside.append(element("h3", {}, requestBody.required ? "Body" : "Body, which may be left out"), ...contents(requestBody.content));
  inside.append(element("h3", {}, "Answers"), table(["Status", "Meaning"], responses(described.responses)));
  const details = element("details", { id: described.operationId, class: "operation" },
    element("summary", {}, element("span", { class: `method ${method}` }, method.toUpperCase()), element("span", { class: "path" }, path),
      element("span", {}, summary || ""), element("span", { class: "badge", title: scope ? "the scope that a token must have, where the node asks for tokens" : "no token is asked for" }, scope || "open")), inside);
  details.dataset.words = `${method} ${path} ${JSON.stringify(described)}`.toLowerCase();
  return details;
}

function schema(name, described) {
  const required = described.required || [];
  const rows = Object.entries(described.properties || {}).map(([member, one]) => {
    const range = limits(one);
    return [[element("code", {}, member), required.includes(member) ? "" : " (optional)"], [...type(one), range ? ` ${range}` : ""], inline(one.description || "")];
  });
  const inside = element("div", {}, ...words(described.description));
  if (rows.length) inside.append(table(["Member", "Type", "Meaning"], rows));
  else inside.append(element("p", {}, ...type(described), ` ${limits(described)}`));
  for (const example of described.examples || []) inside.append(element("pre", { tabindex: "0" }, JSON.stringify(example, null, 2)));
  return element("details", { id: `schema-${name}` }, element("summary", {}, element("span", { class: "path" }, name), element("span", {})), inside);
}

function draw() {
  document.title = `${api.info.title} API`;
  by("title").textContent = `${api.info.title} API`;
  by("version").textContent = api.info.version;
  const tokens = api.components.securitySchemes.token.description;
  by("about").replaceChildren(...words(api.info.description), ...words(tokens && `Tokens: ${tokens}`));
  const all = Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, described]) => ({ path, method, described })));
  by("operations").replaceChildren(...api.tags.map(tag => {
    const own = all.filter(one => one.described.tags.includes(tag.name));
    return element("section", {}, element("h2", {}, tag.name), element("p", { class: "hint" }, tag.description), ...own.map(one => operation(one.path, one.method, one.described)));
  }));
  by("schemas").replaceChildren(...Object.entries(api.components.schemas).map(([name, one]) => schema(name, one)));
  by("schemas-section").hidden = false;
}

// ---- finding

function filter() {
  const wanted = by("filter").value.trim().toLowerCase();
  let shown = 0;
  for (const one of document.querySelectorAll("details.operation")) {
    one.hidden = !one.dataset.words.includes(wanted);
    if (!one.hidden) shown += 1;
  }
  for (const section of by("operations").children) section.hidden = !section.querySelector("details:not([hidden])");
  by("shown").textContent = `${shown} operations`;
}

// What an address points to is opened: a link to a closed one would lead nowhere.
function reveal() {
  const target = by(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName !== "DETAILS") return;
  target.open = true;
  target.scrollIntoView();
}

const every = open => document.querySelectorAll("details.operation:not([hidden])").forEach(one => { one.open = open; });

async function start() {
  try {
    const response = await fetch("openapi.json", { cache: "no-cache" });
    if (!response.ok) throw new Error(`the node answered ${response.status}`);
    api = await response.json();
  } catch (error) {
    by("shown").textContent = `The description cannot be read: ${error.message}. Load the page again.`;
    return;
  }
  draw();
  filter();
  reveal();
}

by("filter").addEventListener("input", filter);
by("open").addEventListener("click", () => every(true));
by("close").addEventListener("click", () => every(false));
window.addEventListener("hashchange", reveal);
document.addEventListener("keydown", event => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  event.preventDefault();
  by("filter").focus();
});
start();
