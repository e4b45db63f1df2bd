"use strict";

// The page's own part, which a notebook does without: theme, address, keys from anywhere.
(() => {
  const { make, mount, register, makeStaticSource } = vizcnnExplorer;
  const document_root = document.documentElement;

  // A browser may forbid storage to pages from disk; the theme then lasts for this page.
  function recall() {
    try { return localStorage.getItem("vizcnn-theme"); } catch { return null; }
  }
  function remember(theme) {
    try { localStorage.setItem("vizcnn-theme", theme); } catch { /* nothing is lost but the wish */ }
  }
  const isDark = () => document_root.dataset.theme
    ? document_root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  function takeTheme() {
    if (["light", "dark"].includes(recall())) document_root.dataset.theme = recall();
  }
  takeTheme(); // before the body is there, so that the page never flashes

  register((app) => {
    const button = make("button", { type: "button", class: "tool", text: "Dark", on: { click: switchTheme } });
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    function switchTheme() {
      document_root.dataset.theme = isDark() ? "light" : "dark";
      remember(document_root.dataset.theme);
      show();
    }
    show();
    addEventListener("pageshow", () => { takeTheme(); show(); });
    app.addTool(button);
    app.addKey("t", "light or dark", switchTheme);
  });

  async function copyText(code, status) {
    getSelection().selectAllChildren(code);
    let copied = true;
    try { await navigator.clipboard.writeText(code.textContent); } catch { copied = document.execCommand("copy"); } // older browsers give pages from disk no clipboard
    status.textContent = copied ? "Copied" : "Selected: press Ctrl+C";
  }

  // <main class="vizcnn-explorer" data-life="static" data-folder="data/">, or data-life="live"
  async function open() {
    const root = document.querySelector(".vizcnn-explorer[data-life]");
    if (!root) return;
    const source = root.dataset.life === "live" ? vizcnnExplorer.makeLiveSource() : makeStaticSource(root.dataset.folder);
    const app = await mount(root, source, { links: true, fragment: location.hash });
    if (!app) return;
    vizcnnExplorer.app = app; // for those who look into the page
    addEventListener("hashchange", () => app.followLink(location.hash));
    // "Repeat this run", below the explorer
    document.addEventListener("click", (event) => {
      const block = event.target.closest("[data-action=copy]")?.closest(".command");
      if (block) copyText(block.querySelector("code"), block.querySelector(".status"));
    });
    document.addEventListener("keydown", (event) => { if (!root.contains(event.target)) app.pressKey(event); });
  }
  document.addEventListener("DOMContentLoaded", open);
})();
