"use strict";
/* The page: tables that sort and filter, and a genome browser that follows the chosen row.

   Everything that comes from files reaches the page as text (textContent) or through escaped(), never as markup. */

const data = JSON.parse(document.getElementById("data").textContent);
const PER_PAGE = 50;
const COLOURS = { "+": ["#2060a0", "#8fb4dc"], "-": ["#b05a10", "#eab67e"] };
let browser = null;

// --- places ---------------------------------------------------------------------------------------------------------

/** Return a place as people write it, 1-based, with the name that the genome has for the contig. */
function placeText([contig, start, end]) {
  const last = end > start + 1 ? `-${end.toLocaleString("en")}` : "";
  return `${data.contigs[contig].name}:${(start + 1).toLocaleString("en")}${last}`;
}

/** Return a place with its neighbourhood as igv.js takes it. */
function locus([contig, start, end], around) {
  const length = data.contigs[contig].length;
  return `${data.contigs[contig].plain}:${Math.max(1, start + 1 - around)}-${Math.min(length, end + around)}`;
}

/** Show the place of a row in the browser, and the browser if it is out of sight. */
async function show(place, row) {
  if (!browser || !place) return;
  const size = place[2] - place[1];
  await browser.search(locus(place, Math.max(75, Math.round(size / 4))));
  const back = element("button", { type: "button" }, "Back to the row");
  back.addEventListener("click", () => row.scrollIntoView({ block: "center" }));
  document.getElementById("place").replaceChildren(`Shown: ${placeText(place)} `, back);
  const box = document.getElementById("igv").getBoundingClientRect();
  if (box.bottom < 200 || box.top > innerHeight - 200) document.getElementById("browser").scrollIntoView();
}

// --- tables ---------------------------------------------------------------------------------------------------------

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function cellText(value) {
  if (value === null) return "";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(4).replace("-", "\u2212");
}

/** Compare two cells; whatever is missing comes last in both directions. */
function compare(one, other, direction) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one === "number" && typeof other === "number") return direction * (one - other);
  return direction * String(one).localeCompare(String(other), "en", { numeric: true });
}

class RowTable {
  constructor(host, { columns, rows, places }, name) {
    this.columns = columns;
    this.rows = rows.map((cells, index) => ({
      cells,
      place: places[index],
      text: cells.filter((cell) => cell !== null).join("\t").toLowerCase(),
    }));
    this.name = name;
    this.page = 0;
    this.sorting = { column: -1, direction: 1 };
    this.chosen = null;
    host.append(this.makeControls(), this.makeTable(), this.makePager());
    // The rows come ranked: by falling damage, or by rank.
    const [key, order] = name === "variants" ? ["damage", "descending"] : ["rank", "ascending"];
    const ranked = columns.findIndex((column) => column.key === key);
    if (ranked >= 0) {
      this.heads[ranked].setAttribute("aria-sort", order);
      this.sorting = { column: ranked, direction: order === "ascending" ? 1 : -1 };
    }
    this.update();
  }

  makeControls() {
    const controls = element("div", { className: "controls" });
    this.filter = element("input", { type: "search", placeholder: "gene, position, product \u2026", autocomplete: "off" });
    this.filter.addEventListener("input", () => this.update(0));
    controls.append(element("label", {}, "Filter ", this.filter));
    const facet = this.columns.findIndex((column) => column.key === "consequence");
    if (facet >= 0) {
      const values = [...new Set(this.rows.map((row) => row.cells[facet]))].filter((value) => value !== null).sort();
      this.facet = { column: facet, select: element("select", {}, element("option", { value: "" }, "all")) };
      for (const value of values) this.facet.select.append(element("option", { value }, value));
      this.facet.select.addEventListener("change", () => this.update(0));
      controls.append(element("label", {}, "Consequence ", this.facet.select));
    }
    const score = this.columns.findIndex((column) => column.key === "damage" || column.key === "score");
    if (score >= 0) {
      this.least = { column: score, input: element("input", { type: "number", step: "any" }) };
      this.least.input.addEventListener("input", () => this.update(0));
      controls.append(element("label", {}, `At least this ${this.columns[score].label} `, this.least.input));
    }
    return controls;
  }

  makeTable() {
    const head = element("tr");
    this.heads = this.columns.map((column, index) => {
      const button = element("button", { type: "button" }, column.label);
      button.addEventListener("click", () => this.sort(index));
      const cell = element("th", { scope: "col", "aria-sort": "none" }, button);
      if (this.isNumber(index)) cell.className = "number";
      head.append(cell);
      return cell;
    });
    this.body = element("tbody");
    this.body.addEventListener("click", (event) => this.choose(event.target.closest("tr")));
    this.body.addEventListener("keydown", (event) => this.onKey(event));
    const table = element("table", { className: "data" }, element("thead", {}, head), this.body);
    table.setAttribute("aria-label", this.name);
    return element("div", { className: "scroll" }, table);
  }

  makePager() {
    this.back = element("button", { type: "button" }, "Previous");
    this.next = element("button", { type: "button" }, "Next");
    this.back.addEventListener("click", () => this.update(this.page - 1));
    this.next.addEventListener("click", () => this.update(this.page + 1));
    this.status = element("span", { role: "status" });
    return element("div", { className: "pager" }, this.back, this.next, this.status);
  }

  isNumber(column) {
    return this.rows.some((row) => typeof row.cells[column] === "number");
  }

  sort(column) {
    const first = this.isNumber(column) && !["rank", "pos", "start", "end"].includes(this.columns[column].key) ? -1 : 1;
    const direction = this.sorting.column === column ? -this.sorting.direction : first;
    this.sorting = { column, direction };
    this.rows.sort((one, other) => compare(one.cells[column], other.cells[column], direction));
    this.heads.forEach((head, index) => {
      head.setAttribute("aria-sort", index !== column ? "none" : direction > 0 ? "ascending" : "descending");
    });
    this.update(0);
  }

  matching() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const least = this.least && this.least.input.value !== "" ? Number(this.least.input.value) : null;
    return this.rows.filter((row) => {
      if (!words.every((word) => row.text.includes(word))) return false;
      if (this.facet && this.facet.select.value && row.cells[this.facet.column] !== this.facet.select.value) return false;
      return least === null || (row.cells[this.least.column] !== null && row.cells[this.least.column] >= least);
    });
  }

  update(page = this.page) {
    const found = this.matching();
    const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
    this.page = Math.min(Math.max(0, page), pages - 1);
    const first = this.page * PER_PAGE;
    this.shown = found.slice(first, first + PER_PAGE);
    this.body.replaceChildren(...this.shown.map((row) => this.makeRow(row)));
    this.back.disabled = this.page === 0;
    this.next.disabled = this.page === pages - 1;
    const last = Math.min(found.length, first + PER_PAGE);
    const of = found.length === this.rows.length ? "" : ` (${this.rows.length.toLocaleString("en")} in all)`;
    const range = found.length ? `${first + 1} to ${last} of ${found.length.toLocaleString("en")}` : "no row";
    this.status.textContent = `${range}${of}`;
  }

  makeRow(row) {
    const made = element("tr", { tabIndex: 0 });
    if (row === this.chosen) made.setAttribute("aria-selected", "true");
    row.cells.forEach((value, index) => {
      const text = cellText(value);
      const cell = element("td", { className: typeof value === "number" ? "number" : "" });
      cell.textContent = text.length > 40 ? `${text.slice(0, 38)}\u2026` : text;
      if (text.length > 40) cell.title = text;
      cell.dataset.key = this.columns[index].key;
      made.append(cell);
    });
    return made;
  }

  choose(made) {
    if (!made) return;
    this.chosen = this.shown[[...this.body.children].indexOf(made)];
    for (const other of this.body.children) other.removeAttribute("aria-selected");
    made.setAttribute("aria-selected", "true");
    show(this.chosen.place, made);
  }

  onKey(event) {
    const made = event.target.closest("tr");
    const next = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (event.key === "Enter" || event.key === " ") this.choose(made);
    else if (next && made[next]) made[next].focus();
    else return;
    event.preventDefault();
  }
}

// --- browser --------------------------------------------------------------------------------------------------------

function feature([contig, start, end], more) {
  return { chr: data.contigs[contig].plain, start, end, ...more };
}

function geneTrack({ name, blocks }) {
  const features = blocks.map(([contig, start, end, strand, label, facts]) =>
    feature([contig, start, end], { strand, name: label, info: [["gene", label], ...facts] }));
  return { type: "annotation", name, features, displayMode: "EXPANDED", height: 70, color: "#3a5a78" };
}

function variantTracks() {
  const { columns, rows, places } = data.variants;
  const at = Object.fromEntries(columns.map((column, index) => [column.key, index]));
  const placed = rows.map((cells, index) => ({ cells, place: places[index] })).filter((row) => row.place);
  const damage = ({ cells }) => (at.damage === undefined ? null : cells[at.damage]);
  const colour = (value) => (value === null ? "#909090" : value > 0 ? "#b03030" : "#2060a0");
  const marks = placed.map((row) => feature(row.place, {
    name: `${cellText(row.cells[at.ref])}>${cellText(row.cells[at.alt])}`,
    color: colour(damage(row)),
    info: columns.map((column, index) => [column.label, cellText(row.cells[index])]),
  }));
  const values = placed.filter((row) => damage(row) !== null).map((row) => feature(row.place, { value: damage(row) }));
  const tracks = [{ type: "annotation", name: "variants", features: marks, displayMode: "EXPANDED", height: 50 }];
  if (values.length) tracks.push(wig("damage", values, "#b03030"));
  return tracks;
}

/** Return a track of values, with one scale for the whole genome, so that places can be compared. */
function wig(name, features, color) {
  let [min, max] = [0, 0];
  for (const { value } of features) [min, max] = [Math.min(min, value), Math.max(max, value)];
  return { type: "wig", name, features, color, altColor: "#2060a0", autoscale: false, min, max: max || 1, height: 50 };
}

function chunkTrack({ name, strand, parts }) {
  const flat = { margin: 6, expandedRowHeight: 15, height: 24 };
  const features = [];
  for (const { at: [contig, begin], lengths, scores } of parts) {
    let start = begin;
    lengths.forEach((length, index) => {
      features.push(feature([contig, start, start + length], { color: COLOURS[strand][index % 2], cut: scores[index] }));
      start += length;
    });
  }
  return { type: "annotation", name, features, displayMode: "COLLAPSED", ...flat, searchable: false };
}

function signalTrack({ name, low, step, parts }) {
  const features = [];
  for (const { at: [contig, begin], steps } of parts) {
    steps.forEach((value, index) => {
      if (value >= 0) features.push(feature([contig, begin + index, begin + index + 1], { value: low + step * value }));
    });
  }
  return wig(name, features, "#406040");
}

function valueTrack({ name, values }) {
  return wig(name, values.map(([contig, start, end, value]) => feature([contig, start, end], { value })), "#6a5090");
}

const MAKERS = { genes: geneTrack, variants: variantTracks, chunks: chunkTrack, signal: signalTrack, values: valueTrack };

function escaped(text) {
  const letters = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(text).replace(/[&<>"']/g, (letter) => letters[letter]);
}

/** Return what igv.js shows of the features under the pointer; it takes markup, so everything is escaped. */
function popup(track, popoverData, position, features) {
  const known = (features || []).filter((own) => own.info || own.cut !== undefined).slice(0, 5);
  if (!known.length) return undefined;
  const facts = (own) => own.info || [["length, bp", own.end - own.start], ["probability of the cut", own.cut / 1000]];
  const line = ([label, value]) => `<div><b>${escaped(label)}</b> ${escaped(value)}</div>`;
  return known.map((own) => facts(own).filter(([, value]) => value !== "" && value !== null).map(line).join("")).join("<hr>");
}

/** Return the genome that the page carries as a file in memory. */
async function genomeFile() {
  const letters = atob(document.getElementById("sequence").textContent);
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new File([await new Response(plain).blob()], "genome.fa");
}

async function openBrowser() {
  const genome = await genomeFile();
  browser = await igv.createBrowser(document.getElementById("igv"), {
    reference: { id: "genome", name: " ", fastaURL: genome, indexed: false },
    loadDefaultGenomes: false,
    search: false,
    queryParametersSupported: false,
    locus: locus(data.start, 0),
    tracks: data.tracks.flatMap((track, index) =>
      [MAKERS[track.kind](track)].flat().map((made) => ({ order: index + 1, removable: true, ...made }))),
  });
  browser.on("trackclick", popup);
  // The names of the tracks lie over their left ends: what is below them should show through.
  const style = element("style", { textContent: ".igv-track-label { font-size: 10px; opacity: 0.75; padding: 0 3px; }" });
  document.getElementById("igv").shadowRoot.append(style);
  document.getElementById("place").textContent = `Shown: ${placeText(data.start)}`;
  document.documentElement.dataset.ready = "true";
}

// --- maps of mutants ------------------------------------------------------------------------------------------------

/** Say which mutant of a map is under the pointer. */
function onMap(event) {
  const picture = event.currentTarget;
  const map = data.maps[Number(picture.dataset.map)];
  const box = picture.getBoundingClientRect();
  const scale = picture.viewBox.baseVal.width / box.width;
  const column = Math.floor(((event.clientX - box.left) * scale - map.margin) / map.cell);
  const row = Math.floor(((event.clientY - box.top) * scale - map.ticks) / map.cell);
  const at = Number(picture.dataset.from) + column;
  if (column < 0 || column >= map.perRow || row < 0 || row >= map.residues.length || at >= map.scores.length) return;
  const value = map.scores[at][row];
  const text = value === null ? "no score" : `llr ${cellText(value)}`;
  document.getElementById("mutant").textContent = `${map.protein[at]}${map.first + at}${map.residues[row]}: ${text}`;
}

for (const host of document.querySelectorAll("[data-table]")) {
  new RowTable(host, data[host.dataset.table], host.dataset.table);
}
for (const picture of document.querySelectorAll("svg.map")) picture.addEventListener("pointermove", onMap);
openBrowser().catch((error) => {
  document.getElementById("igv").textContent = `The browser could not be shown: ${error.message || error}`;
});
