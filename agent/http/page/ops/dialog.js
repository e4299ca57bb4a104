// Asks before something is done.

const $ = (id) => document.getElementById(id);

/** What was typed, or true; null where it isn't to be done. */
export function confirm({ title, text, action, field = "", danger = false }) {
  const dialog = $("dialog");
  const input = $("dialog-field").querySelector("textarea");
  $("dialog-title").textContent = title;
  $("dialog-text").textContent = text;
  $("dialog-do").textContent = action;
  $("dialog-do").className = danger ? "danger" : "primary";
  $("dialog-field").hidden = !field;
  $("dialog-field").firstElementChild.textContent = field;
  input.value = "";
  input.required = Boolean(field);
  dialog.returnValue = "";
  dialog.showModal();
  if (field) input.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "do" ? input.value || true : null), { once: true });
  });
}
