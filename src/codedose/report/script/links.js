/* A link to one case: the fragment holds what was chosen. It is read as text and only ever chooses among what is there. */

const CHOICES = { task: "pick-task", backbone: "pick-backbone", run: "pick-run", sample: "pick-sample", form: "pick-form" };

function linkOf(item) {
  const state = new URLSearchParams({ case: item.item_id });
  for (const [name, id] of Object.entries(CHOICES)) if (byId(id).value) state.set(name, byId(id).value);
  state.set("reading", chosen.reading);
  if (byId("disagree").checked) state.set("disagree", "1");
  if (byId("search").value) state.set("search", byId("search").value);
  return `#${state}`;
}

function choose(select, value) {
  const found = [...select.options].find((option) => option.value === value);
  if (found) select.value = value;
}

/* Shows the case that the address names, and says so where the page does not hold it. */
function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  if (!state.has("case")) return;
  for (const [name, id] of Object.entries(CHOICES)) choose(byId(id), state.get(name) ?? "");
  byId("disagree").checked = state.get("disagree") === "1";
  byId("search").value = state.get("search") ?? "";
  const radio = [...document.querySelectorAll("input[name=reading]")].find((one) => one.value === state.get("reading"));
  if (radio && !radio.checked) {
    radio.checked = true;
    chooseReading(radio.value);
  }
  listItems();
  choose(byId("pick-item"), state.get("case"));
  if (byId("pick-item").value === state.get("case")) showCase();
  else byId("found").textContent = "The page does not hold the item that this link names.";
  byId("replies").scrollIntoView();
}

/* From a file some browsers give no clipboard; then the text is marked, to be copied by hand. */
async function copy(text, status) {
  try {
    await navigator.clipboard.writeText(text);
    status.textContent = "Copied.";
  } catch (refused) {
    status.textContent = copyByField(text) ? "Copied." : `The browser refused (${refused.name}): copy it from here: ${text}`;
  }
}

function copyByField(text) {
  const field = make("textarea");
  field.value = text;
  field.setAttribute("aria-label", "text to copy");
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
