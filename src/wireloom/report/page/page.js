"use strict";
// The list of every claim: made when it is unfolded, searched and filtered. The rest of the page needs no script.
(() => {
  const CHUNK = 100;
  const VERDICTS = ["falsified", "unknown", "holds"];
  const ledger = JSON.parse(document.getElementById("ledger").textContent);
  const byId = (id) => document.getElementById(id);
  const form = document.querySelector("form.filter");
  const [search, byVerdict, byKind, byNode] = ["search", "by-verdict", "by-kind", "by-node"].map(byId);

  // Whatever a machine said becomes text, never markup.
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };
  const words = new Map();
  const say = (place) => {
    if (!words.has(place)) words.set(place, ledger.texts[place].map((word) => ledger.words[word]).join(" "));
    return words.get(place);
  };
  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  // What stands between backticks is code.
  const prose = (text) => {
    const pieces = text.split("`");
    return pieces.length % 2 ? pieces.map((piece, place) => (place % 2 ? make("code", "", piece) : piece)) : [text];
  };

  const readPacket = ([time, node, device, outgoing, what, bytes]) =>
    ({ time, node: ledger.nodes[node], device: say(device), way: outgoing ? "out" : "in", what: say(what), bytes });

  class Claim {
    constructor(kind, [source, target, verdict, text, packets = [], more = 0]) {
      Object.assign(this, { kind, source, target, verdict, text, packets, more, haystack: undefined });
    }

    get from() { return ledger.nodes[this.source]; }
    get to() { return this.target < 0 ? "" : ledger.nodes[this.target]; }

    // All that can be searched for, in lower case; made at the first search.
    get said() {
      if (this.haystack === undefined) {
        const packets = this.packets.map(readPacket).map((one) => Object.values(one).join(" "));
        const { name, claimed, tested } = this.kind;
        const subject = this.to ? `${this.from} → ${this.to}` : this.from;
        this.haystack = [name, claimed, tested, VERDICTS[this.verdict], subject, say(this.text), ...packets]
          .join("\n").toLowerCase();
      }
      return this.haystack;
    }
  }

  const icon = (verdict) => {
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    drawing.setAttribute("class", `icon ${verdict}`);
    drawing.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `#icon-${verdict}`);
    drawing.append(use);
    return drawing;
  };
  const mark = (verdict) => make("span", `mark ${verdict}`, icon(verdict), verdict);

  const about = (claim) => {
    const subject = make("span", "subject", claim.from);
    if (claim.to) {
      const arrow = make("span", "", " → ");
      arrow.setAttribute("aria-hidden", "true");
      subject.append(arrow, make("span", "unseen", " to "), claim.to);
    }
    return subject;
  };

  const packetList = (claim) => {
    const list = make("ol", "packets");
    for (const one of claim.packets.map(readPacket)) {
      list.append(make("li", "", make("time", "", one.time), " ", make("b", "", one.node), " ",
        make("span", "", `${one.device} ${one.way}`), " ", make("code", "", one.what), " ",
        make("span", "length", count(one.bytes, "byte"))));
    }
    if (!claim.more) return [list];
    return [list, make("p", "how", `${count(claim.more, "more packet")}: wireloom verify --json has them.`)];
  };

  const evidenceOf = (claim) => {
    const facts = make("dl", "evidence");
    const add = (name, ...what) => facts.append(make("div", "", make("dt", "", name), make("dd", "", ...what)));
    add("Claimed", claim.kind.claimed);
    add("Tested by", ...prose(claim.kind.tested));
    add("Seen", ...prose(say(claim.text)));
    if (claim.packets.length || claim.more) add("Packets", ...packetList(claim));
    return facts;
  };

  const rowOf = (claim) => {
    const row = make("details", VERDICTS[claim.verdict],
      make("summary", "", mark(VERDICTS[claim.verdict]), " ", about(claim), " ", make("span", "seen", ...prose(say(claim.text)))));
    row.addEventListener("toggle", () => { if (row.children.length === 1) row.append(evidenceOf(claim)); });
    return make("li", "", row);
  };

  // One kind of claim: a fold with its rows, made a chunk at a time.
  class Group {
    constructor(data) {
      this.claims = data.claims.map((row) => new Claim(data, row));
      this.matching = this.claims;
      this.sum = make("span", "sum");
      this.rows = make("ul", "rows");
      this.more = make("button", "more");
      this.more.type = "button";
      this.more.addEventListener("click", () => this.showMore());
      this.fold = make("details", "kind",
        make("summary", "", make("h3", "", make("code", "", data.name), ` ${data.claimed}`), " ", this.sum),
        this.rows, this.more);
      this.fold.addEventListener("toggle", () => { if (this.fold.open && !this.rows.children.length) this.addRows(); });
    }

    show(matching, filtered) {
      this.matching = matching;
      this.rows.replaceChildren();
      this.fold.hidden = matching.length === 0;
      this.fold.open = filtered && matching.length > 0;
      this.more.hidden = true;
      const worst = Math.min(...matching.map((claim) => claim.verdict));
      const all = count(this.claims.length, "claim");
      this.sum.replaceChildren(...(matching.length ? [mark(VERDICTS[worst]), " "] : []),
        filtered ? `${matching.length.toLocaleString("en")} of ${all}` : all);
      if (this.fold.open) this.addRows();
    }

    addRows() {
      const shown = this.rows.children.length;
      this.rows.append(...this.matching.slice(shown, shown + CHUNK).map(rowOf));
      const rest = this.matching.length - this.rows.children.length;
      this.more.hidden = rest === 0;
      this.more.textContent = `Show ${Math.min(CHUNK, rest)} more of ${rest.toLocaleString("en")}`;
    }

    // The first new row gets the focus: the button may be gone.
    showMore() {
      const shown = this.rows.children.length;
      this.addRows();
      this.rows.children[shown]?.querySelector("summary").focus();
    }
  }

  const groups = ledger.kinds.map((data) => new Group(data));
  const total = groups.reduce((sum, group) => sum + group.claims.length, 0);

  const matcher = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const [verdict, kind, node] = [byVerdict, byKind, byNode].map((one) => one.value);
    const filtered = Boolean(wanted.length || verdict || kind || node);
    const matches = (claim) =>
      (!verdict || claim.verdict === Number(verdict)) &&
      (!kind || claim.kind.name === kind) &&
      (!node || claim.source === Number(node) || claim.target === Number(node)) &&
      wanted.every((word) => claim.said.includes(word));
    return [filtered, matches];
  };

  const update = () => {
    const [filtered, matches] = matcher();
    let found = 0;
    for (const group of groups) {
      const matching = filtered ? group.claims.filter(matches) : group.claims;
      found += matching.length;
      group.show(matching, filtered);
    }
    byId("matches").textContent = filtered
      ? `${found.toLocaleString("en")} of ${count(total, "claim")} ${found === 1 ? "matches" : "match"}`
      : count(total, "claim");
  };

  let waiting;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 120); });
  form.addEventListener("change", (event) => { if (event.target !== search) update(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); update(); });
  form.addEventListener("reset", () => setTimeout(update));

  byKind.append(...ledger.kinds.map((kind) => new Option(kind.name, kind.name)));
  byNode.append(...ledger.nodes.map((name, place) => new Option(name, place)));
  byId("kinds").append(...groups.map((group) => group.fold));
  byId("browser").hidden = false;
  update();

  // What does not hold is printed, folded or not.
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("#trouble details")) fold.open = true;
  });
})();
