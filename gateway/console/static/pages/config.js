// @ts-check
import { el, fill } from "../dom.js";
import { t } from "../i18n.js";

/** @type {import("../main.js").Page} */
export const page = {
  id: "config",
  title: "page.config",
  async render(root) {
    fill(root, el("p", { class: "muted", text: t("not.yet") }));
  },
};
