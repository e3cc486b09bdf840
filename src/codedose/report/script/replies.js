/* ---- replies side by side */

const told = read("reply-data");
const tasks = data.places.filter((place) => place.view === "task").map((place) => place.of);
const items = unpack(told.items).sort((a, b) => tasks.indexOf(a.task) - tasks.indexOf(b.task));
const runOf = new Map(unpack(told.runs).map((run) => [run.cell, run]));
const replies = new Map();
for (const reply of unpack(told.replies)) {
  if (!replies.has(reply.item_id)) replies.set(reply.item_id, []);
  replies.get(reply.item_id).push({ ...reply, ...runOf.get(reply.cell) });
}

const runName = (run) => `draw ${run.draw}, seed ${run.seed}`;

/* The replies to one item by the chosen backbone, draw and sample, in the order of the arms. */
function repliesTo(item) {
  const backbone = byId("pick-backbone").value;
  const run = byId("pick-run").value;
  const sample = byId("pick-sample").value;
  return (replies.get(item.item_id) ?? [])
    .filter((reply) => reply.backbone === backbone && String(reply.sample) === sample
      && (reply.draw === null || runName(reply) === run))
    .sort((a, b) => data.arms.indexOf(a.arm) - data.arms.indexOf(b.arm));
}

/* Arms disagree where some are right and some are not; the untuned backbone is no arm. */
function disagree(item) {
  const own = repliesTo(item).filter((reply) => reply.arm !== data.untuned);
  const right = own.filter((reply) => reply[chosen.reading] === "right").length;
  return right > 0 && right < own.length;
}

/* Replies in code, or in words only; "" for all. */
function formed(item) {
  const form = byId("pick-form").value;
  return form === "" || repliesTo(item).some((reply) => reply.in_code) === (form === "code");
}

function mentions(item, words) {
  const texts = [item.item_id, item.question, item.answer, ...repliesTo(item).flatMap((reply) => [reply.text, reply.forced_text])];
  return texts.some((text) => text !== null && text.toLowerCase().includes(words));
}

function matching() {
  const task = byId("pick-task").value;
  const words = byId("search").value.trim().toLowerCase();
  return items.filter((item) => (task === "" || item.task === task)
    && (!byId("disagree").checked || disagree(item)) && formed(item) && (!words || mentions(item, words)));
}

function listItems() {
  const picker = byId("pick-item");
  const before = picker.value;
  const found = matching();
  const options = found.map((item) => {
    const option = make("option", `${item.task}: ${item.question.slice(0, 80)}`);
    option.value = item.item_id;
    return option;
  });
  picker.replaceChildren(...options);
  if (found.some((item) => item.item_id === before)) picker.value = before;
  byId("found").textContent = `${found.length} of ${items.length} items; outcomes and disagreement under the ${chosen.reading} reading`;
  showCase();
}

function outcomes(reply) {
  const list = make("ul", "", "outcomes");
  for (const reading of data.readings) {
    const outcome = reply[reading];
    list.append(make("li", `${reading}: ${outcome === null ? "–" : outcome.replace("_", " ")}`, outcome === "right" ? "outcome-right" : ""));
  }
  return list;
}

function replyCard(reply) {
  const card = make("article", "", `reply ${armClass(reply.arm)}`);
  card.append(make("h4", reply.arm === data.untuned ? "before tuning" : reply.arm), outcomes(reply));
  const text = make("pre", reply.text, "texts");
  text.tabIndex = 0;
  card.append(text);
  if (reply.forced_text !== null) card.append(make("p", "Forced answer:", "quiet"), make("pre", reply.forced_text, "texts"));
  const facts = [`${reply.n_tokens} tokens`, reply.finish === "length" ? "cut at the limit" : "ended by itself", ...(reply.in_code ? ["in code"] : [])];
  card.append(make("p", facts.join(", "), "quiet"));
  return card;
}

function showCase() {
  const item = items.find((one) => one.item_id === byId("pick-item").value);
  if (!item) {
    byId("case").replaceChildren(make("p", "No item matches.", "quiet"));
    return;
  }
  const asked = make("div", "", "asked");
  const level = item.level === null ? "" : `, level ${item.level}`;
  asked.append(make("h3", item.task), make("p", `${item.domain}, ${item.origin}${level}, item ${item.item_id}`, "quiet"),
    make("p", item.question, "texts"), make("p", `Right answer: ${item.answer}`, "texts"));
  const arms = make("div", "", "arms");
  arms.append(...repliesTo(item).map(replyCard));
  byId("case").replaceChildren(asked, arms);
  byId("case-link").setAttribute("href", linkOf(item));
}

function step(by) {
  const picker = byId("pick-item");
  const count = picker.options.length;
  if (count) picker.selectedIndex = (picker.selectedIndex + by + count) % count;
  showCase();
}

function startReplies() {
  const runs = [...runOf.values()];
  const named = (values) => values.map((value) => [value, value]);
  fill(byId("pick-task"), [["", "all tasks"], ...named(tasks)]);
  fill(byId("pick-backbone"), named(distinct(runs.map((run) => run.backbone))));
  fill(byId("pick-run"), named(distinct(runs.filter((run) => run.draw !== null).map(runName))));
  const inCode = [...replies.values()].flat().some((reply) => reply.in_code);
  fill(byId("pick-form"), inCode ? [["", "in any way"], ["code", "in code by some arm"], ["words", "in words by all arms"]] : [["", "in any way"]]);
  fill(byId("pick-sample"), named(distinct([...replies.values()].flat().map((reply) => String(reply.sample)))));
  for (const id of ["pick-task", "pick-backbone", "pick-run", "pick-sample", "pick-form", "disagree"]) byId(id).addEventListener("change", listItems);
  for (const radio of document.querySelectorAll("input[name=reading]")) radio.addEventListener("change", listItems);
  let waiting = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(listItems, 200);
  });
  byId("pick-item").addEventListener("change", showCase);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("copy-link").addEventListener("click", () => copy(byId("case-link").href, byId("copied-link")));
  byId("copy-bibtex").addEventListener("click", () => copy(byId("bibtex").textContent, byId("copied-bibtex")));
  addEventListener("hashchange", restore);
  listItems();
  restore();
}
