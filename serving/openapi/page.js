"use strict";
const $ = (selector, within = document) => within.querySelector(selector);
const make = (name, text = "", properties = {}) => Object.assign(document.createElement(name), { textContent: text }, properties);
const short = (number) => (Number.isInteger(number) ? String(number) : Number(number).toPrecision(6).replace(/\.?0+(?=$|e)/, ""));
const TYPES = { npy: "application/x-npy", npz: "application/x-npz", csv: "text/csv", json: "application/json",
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", webp: "image/webp" };

let description = null; // the OpenAPI document
let key = ""; // in memory only: a reload forgets it
let model = null;
let body = null; // gives what is to be sent: {data, type, name}
let path = "";

const base = new URL(".", location.href);
const at = (where) => new URL(where.replace(/^\//, ""), base);
const headers = (more = {}) => (key ? { ...more, "X-API-Key": key } : more);
const follow = (node) => {
  while (node && node.$ref) node = node.$ref.slice(2).split("/").reduce((found, part) => found[part], description);
  return node;
};

// what is served

async function read() {
  let answer;
  try {
    answer = await fetch(at("openapi.json"), { headers: headers() });
  } catch {
    return say("The server does not answer.");
  }
  if (answer.status === 401 || answer.status === 403) {
    $("#keybox").hidden = false;
    $("#key").focus();
    return say(key ? "This key is not accepted." : "This server asks for an API key.");
  }
  if (!answer.ok) return say(`The description of the server cannot be read: status ${answer.status}.`);
  description = await answer.json();
  $("#keybox").hidden = !description["x-skylift"].isGuarded;
  const models = description["x-skylift"].models.filter((one) => one.signature && (one.hasTfs || one.hasV2));
  $("#models").replaceChildren(...models.map((one) => {
    const button = make("button", "", { type: "button", onclick: () => show(one) });
    const kind = one.task.kind === "generic" ? "" : ` · ${one.task.kind}`;
    const labels = one.labels.length ? ` · ${one.labels.join(", ")}` : "";
    button.append(make("b", one.name), make("span", `version ${one.version}${kind}${labels}`));
    one.button = button;
    const item = make("li");
    item.append(button);
    return item;
  }));
  if (!models.length) return say("Nothing is served yet. `skylift deploy MODEL` lets a model answer; then reload this page.");
  const again = models.find((one) => model && one.name === model.name && one.version === model.version);
  show(again || models.find((one) => one.isDefault) || models[0]);
}

function say(text) {
  const told = make("p", text, { className: "quiet" });
  told.setAttribute("role", "status");
  $("#main").replaceChildren(told);
}

async function readiness() {
  let isReady = false;
  try {
    isReady = (await fetch(at("readyz"))).ok;
  } catch { /* shown as not ready */ }
  const version = description ? description.info.version : "";
  const dot = make("span", "", { className: `dot ${isReady ? "good" : "bad"}` });
  $("#server").replaceChildren(dot, `${version && `version ${version}, `}${isReady ? "ready" : "not ready"} at ${location.host}`);
}

// one model

function show(one) {
  model = one;
  for (const button of document.querySelectorAll("nav button")) button.setAttribute("aria-current", button === one.button);
  one.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  const view = $("#model").content.cloneNode(true);
  $("h2", view).textContent = one.name;
  const names = [`version ${one.version}`, ...one.labels];
  if (one.task.kind !== "generic") names.push(one.task.kind);
  if (one.task.labels.length) names.push(`${one.task.labels.length} labels`);
  $(".facts", view).textContent = names.join(" · ");
  $(".shapes", view).append(shapes("Inputs", one.inputs), shapes("Outputs", one.outputs));
  $("#main").replaceChildren(view);
  const tabs = [["JSON", json]];
  if (one.hasTfs) tabs.push(["File", file]);
  if (one.hasTfs && one.takesPictures && one.inputs[0].shape.length === 4) {
    tabs.push(["Draw", draw]);
    if (one.inputs[0].shape[3] === 1) tabs.reverse(); // what is drawn is grey
  }
  for (const [name, fill] of tabs) {
    const tab = make("button", name, { type: "button", onclick: () => open(tab, fill) });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "panel");
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: "nextSibling", ArrowLeft: "previousSibling" }[event.key];
      if (step && tab[step]) tab[step].click(), $('[aria-selected="true"]').focus();
    });
    $(".tabs").append(tab);
  }
  $(".send").onclick = send;
  $(".copy").onclick = copy;
  const isWritten = one.hasV2 && !one.hasTfs ? v2Path() : tfsPath(); // else the row is too long for JSON by hand
  const start = examples(isWritten).length || tabs.length === 1 ? $(".tabs").firstChild : [...$(".tabs").children].find((tab) => tab.textContent === "File");
  start.click();
}

function shapes(title, tensors) {
  const table = make("table");
  table.append(make("caption", title));
  for (const one of tensors) {
    const row = table.insertRow();
    row.append(make("td", one.name), make("td", one.dtype), make("td", one.text));
  }
  return table;
}

function open(tab, fill) {
  for (const other of $(".tabs").children) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
  }
  $(".choices").replaceChildren();
  $("#panel").replaceChildren();
  fill($("#panel"));
}

function to(where) {
  path = where;
  $(".path code").textContent = at(path).pathname;
}

const name = () => encodeURIComponent(model.name).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
const numbered = () => (model.isDefault ? "" : `/versions/${model.version}`);
const tfsPath = () => `/v1/models/${name()}${numbered()}:predict`;
const v2Path = () => `/v2/models/${name()}${numbered()}/infer`;

function choice(label, options, change) {
  const select = make("select", "", { onchange: () => change(select.value) });
  select.setAttribute("aria-label", label);
  options.forEach(([value, text]) => select.append(make("option", text, { value })));
  $(".choices").append(select);
  return select;
}

// what to send

function examples(where) {
  const operation = description.paths[where] && description.paths[where].post;
  const content = operation && follow(operation.requestBody).content["application/json"];
  return Object.entries((content && content.examples) || {});
}

function json(panel) {
  const text = make("textarea", "", { spellcheck: false, id: "text" });
  text.setAttribute("aria-label", "Body of the request");
  panel.append(text);
  const protocols = [];
  if (model.hasTfs) protocols.push([tfsPath(), "TensorFlow Serving"]);
  if (model.hasV2) protocols.push([v2Path(), "Open Inference v2"]);
  let which = null;
  const fill = (where) => {
    to(where);
    const found = examples(where);
    if (which) which.remove();
    which = found.length > 1 ? choice("Example", found.map(([id, one]) => [id, one.summary]), put) : null;
    if (found.length) put(found[0][0]);
    else text.value = "", text.placeholder = "A row of this model is too long to stand here, or JSON cannot carry it: send a file.";
  };
  const put = (id) => { text.value = pretty(Object.fromEntries(examples(path))[id].value); };
  if (protocols.length > 1) choice("Protocol", protocols, fill);
  fill(protocols[0][0]);
  if (model.task.input === "text" && model.inputs.length === 1 && model.inputs[0].dtype === "uint8") words(panel, text);
  body = async () => ({ data: text.value, type: "application/json", name: "request.json" });
}

/** The bytes of a text as the model learned texts: cut behind the last whole character that fits, zeros behind. */
function rowOf(text, length) {
  const whole = new TextEncoder().encode(text.trim().normalize("NFC").replaceAll("\0", " "));
  let end = Math.min(whole.length, length);
  while (end && end < whole.length && (whole[end] & 0xc0) === 0x80) end -= 1;
  return [...whole.slice(0, end), ...Array(length - end).fill(0)];
}

function words(panel, text) {
  const [{ name: input, shape: [, length] }] = model.inputs;
  const field = make("input", "", { type: "text", id: "words", placeholder: "write a text; its bytes become the request" });
  field.oninput = () => {
    const row = rowOf(field.value, length);
    text.value = pretty(path.startsWith("/v2")
      ? { inputs: [{ name: input, shape: [1, length], datatype: "UINT8", data: row }] } : { instances: [row] });
  };
  const box = make("div", "", { className: "field" });
  box.append(make("label", "Text", { htmlFor: "words" }), field);
  panel.prepend(box);
}

function file(panel) {
  to(tfsPath());
  const known = follow(description.paths[tfsPath()].post.requestBody).content;
  const endings = Object.keys(TYPES).filter((ending) => TYPES[ending] in known).map((ending) => `.${ending}`);
  const field = make("input", "", { type: "file", id: "file", accept: endings.join(",") });
  const image = make("img", "", { alt: "The chosen picture", hidden: true });
  const left = make("div", "", { className: "field" });
  left.append(make("label", `Choose or drop a file: ${endings.join(" ")}`, { htmlFor: "file" }), field);
  const box = make("div", "", { className: "pick" });
  box.append(left, image);
  let chosen = null;
  const take = (one) => {
    if (!one) return;
    chosen = one;
    URL.revokeObjectURL(image.src);
    image.hidden = !one.type.startsWith("image/");
    if (!image.hidden) image.src = URL.createObjectURL(one);
  };
  field.onchange = () => take(field.files[0]);
  box.ondragover = (event) => { event.preventDefault(); box.classList.add("over"); };
  box.ondragleave = () => box.classList.remove("over");
  box.ondrop = (event) => { event.preventDefault(); box.classList.remove("over"); field.files = event.dataTransfer.files; take(field.files[0]); };
  panel.append(box);
  body = async () => {
    if (!chosen) throw new Error("Choose a file first.");
    const ending = chosen.name.split(".").pop().toLowerCase();
    return { data: chosen, type: TYPES[ending] || chosen.type || "application/json", name: chosen.name };
  };
}

function draw(panel) {
  to(tfsPath());
  const isDark = model.darkBackground !== false;
  const [height, width] = model.inputs[0].shape ? model.inputs[0].shape.slice(1, 3).map((size) => size || 280) : [280, 280];
  const canvas = make("canvas", "", { width: Math.round(280 * Math.min(1, width / height)), height: Math.round(280 * Math.min(1, height / width)) });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "A place to draw with mouse, pen or finger; send a file if you use none of them");
  const pen = canvas.getContext("2d");
  const clear = () => { pen.fillStyle = isDark ? "#000" : "#fff"; pen.fillRect(0, 0, canvas.width, canvas.height); };
  clear();
  Object.assign(pen, { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: isDark ? "#fff" : "#000" });
  const place = (event) => [event.offsetX * canvas.width / canvas.clientWidth, event.offsetY * canvas.height / canvas.clientHeight];
  canvas.onpointerdown = (event) => { canvas.setPointerCapture(event.pointerId); pen.beginPath(); pen.moveTo(...place(event)); pen.lineTo(...place(event)); pen.stroke(); };
  canvas.onpointermove = (event) => { if (event.buttons) { pen.lineTo(...place(event)); pen.stroke(); } };
  canvas.onpointerup = () => send();
  const wipe = make("button", "Clear", { type: "button", onclick: clear });
  const box = make("div", "", { className: "draw" });
  box.append(canvas, wipe);
  panel.append(box);
  const blob = () => new Promise((done) => canvas.toBlob(done, "image/png"));
  body = async () => ({ data: await blob(), type: "image/png", name: "picture.png" });
}

/** JSON with what fits into one line on one line. */
function pretty(value, indent = "") {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const [first, last] = isList ? "[]" : "{}";
  const parts = Object.entries(value).map(([name, one]) => (isList ? "" : `${JSON.stringify(name)}: `) + pretty(one, `${indent}  `));
  const line = first + parts.join(", ") + last;
  if ((line.length <= 150 && !line.includes("\n")) || (isList && value.every((one) => typeof one !== "object"))) return line;
  return `${first}\n${parts.map((part) => `${indent}  ${part}`).join(",\n")}\n${indent}${last}`;
}

// the answer

let sending = 0;

async function send() {
  const mine = ++sending;
  const button = $(".send");
  let asked;
  try {
    asked = await body();
  } catch (problem) {
    return outcome("bad", problem.message, "", "", null);
  }
  button.disabled = true;
  const began = performance.now();
  try {
    const answer = await fetch(at(path), { method: "POST", body: asked.data, headers: headers({ "Content-Type": asked.type }) });
    const text = await answer.text();
    if (mine !== sending) return;
    const took = performance.now() - began;
    const version = answer.headers.get("X-Skylift-Model-Version");
    const more = `${took.toFixed(1)} ms · ${text.length.toLocaleString("en")} bytes${version ? ` · version ${version}` : ""}`;
    if (answer.status === 401) $("#keybox").hidden = false;
    outcome(answer.ok ? "good" : "bad", `${answer.status} ${answer.statusText}`, more, text, answer.ok);
  } catch {
    if (mine === sending) outcome("bad", "No answer", "the server cannot be reached", "", false);
  } finally {
    button.disabled = false;
  }
}

function outcome(kind, title, more, text, isRead) {
  $(".answer").hidden = false;
  $(".outcome").replaceChildren(make("b", title, { className: kind }), make("span", more, { className: "quiet" }));
  let value = null;
  try {
    value = JSON.parse(text);
  } catch { /* shown as it is */ }
  $(".meaning").replaceChildren(...(isRead && value ? meaning(value) : []));
  $("pre").hidden = !text;
  const isExact = value !== null && !/\d{16}/.test(text); // this language has no greater whole numbers
  $("pre").textContent = (isExact ? pretty(value) : text).slice(0, 100000);
}

function rowsOf(value) {
  if (Array.isArray(value.outputs) && value.outputs[0] && value.outputs[0].data) {
    const { shape, data } = value.outputs[0];
    const size = data.length / (shape[0] || 1);
    return Array.from({ length: shape[0] || 1 }, (_, row) => data.slice(row * size, (row + 1) * size));
  }
  const rows = value.predictions || value.outputs;
  if (!Array.isArray(rows)) return [];
  return rows.map((row) => (row && typeof row === "object" && !Array.isArray(row) && Object.keys(row).length === 1 ? Object.values(row)[0] : row))
    .map((row) => [row].flat(9));
}

function meaning(value) {
  const rows = rowsOf(value).filter((row) => row.length && row.every((one) => typeof one === "number"));
  if (!rows.length || model.outputs.length !== 1) return [];
  const { kind, labels, unit } = model.task;
  if (kind === "regression") {
    return rows.slice(0, 10).map((row) => make("p", `${row.map(short).join(", ")}${unit ? ` ${unit}` : ""}`, { className: "value" }));
  }
  if (kind !== "classification" && kind !== "binary") return [];
  const scored = rows.map((row) => {
    const all = kind === "binary" && row.length === 1 ? [1 - row[0], row[0]] : row;
    const named = labels.length === all.length ? labels : kind === "binary" && all.length === 2 ? ["no", "yes"] : all.map((_, i) => String(i));
    return all.map((score, i) => [named[i], score]).sort((one, other) => other[1] - one[1]);
  });
  return (scored.length === 1 ? scored[0].slice(0, 6) : scored.slice(0, 10).map((row) => row[0])).map(bar);
}

function bar([label, score]) {
  const line = make("div", "", { className: "bar" });
  const track = make("span");
  const length = make("i");
  length.style.width = `${Math.max(0, Math.min(100, score * 100))}%`;
  track.append(length);
  line.append(make("span", label), track, make("span", `${(score * 100).toFixed(1)} %`));
  return line;
}

async function copy() {
  let asked;
  try {
    asked = await body();
  } catch (problem) {
    return outcome("bad", problem.message, "", "", null);
  }
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const inline = typeof asked.data === "string" && asked.data.length < 2000;
  const data = inline ? quote(JSON.stringify(JSON.parse(asked.data || "{}"))) : `@${quote(asked.name)}`;
  const auth = key ? ' -H "X-API-Key: $SKYLIFT_API_KEY"' : "";
  const line = `curl${auth} -H ${quote(`Content-Type: ${asked.type}`)} --data-binary ${data} ${quote(String(at(path)))}`;
  const button = $(".copy");
  try {
    await navigator.clipboard.writeText(line);
    button.textContent = "Copied";
  } catch {
    outcome("good", "The command", "this browser does not let pages copy here", line, false);
  }
  setTimeout(() => { button.textContent = "Copy as curl"; }, 1500);
}

document.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && $(".send")) send(); });
const unlock = () => { key = $("#key").value.trim(); read().then(readiness); };
$("#unlock").onclick = unlock;
$("#key").onkeydown = (event) => { if (event.key === "Enter") unlock(); };
read().then(readiness);
