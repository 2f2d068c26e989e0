// The class's page: a terminal, and what a terminal can't do (the address bar, the clipboard, a file to keep).
"use strict";
(() => {
  const KEPT = "txexplain.session";
  const LEAST = [62, 18]; // columns and rows that the app should have
  const SMALLEST = 6; // pixels of a letter, for the smallest phones
  const WAITS = [300, 1000, 2000, 4000, 8000, 15000]; // milliseconds before each try to come back
  const KEYS = [
    ["⏎", "\r"], ["esc", "\x1b"], ["←", "\x1b[D"], ["↓", "\x1b[B"], ["↑", "\x1b[A"], ["→", "\x1b[C"], ["space", " "],
    ["[", "["], ["]", "]"], ["tab", "\t"], ["/", "/"], ["t", "t"], ["n", "n"], ["p", "p"], ["i", "i"], ["a", "a"], ["u", "u"], ["g", "g"], ["?", "?"],
  ];
  const at = new URL(location.href);
  const light = matchMedia("(prefers-color-scheme: light)").matches;
  const screen = document.getElementById("screen");
  const said = document.getElementById("said");
  const bytes = new TextEncoder();

  const terminal = new Terminal({
    allowProposedApi: true, // the widths of Unicode 11 count as that
    fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace',
    scrollback: 0,
    theme: light ? { background: "#fbfbf9", foreground: "#33363c" } : { background: "#0f1115", foreground: "#c8ccd4" },
  });
  const fit = new FitAddon.FitAddon();
  terminal.loadAddon(fit);
  terminal.loadAddon(new Unicode11Addon.Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  terminal.open(screen);
  try {
    const drawn = new WebglAddon.WebglAddon(); // it draws blocks and lines itself, without gaps
    drawn.onContextLoss(() => drawn.dispose());
    terminal.loadAddon(drawn);
  } catch {
    // a browser without WebGL shows the font's own blocks
  }

  const fitted = () => {
    // Letters as large as can be read from a chair, but small enough for the app's least size.
    let enough = false;
    for (let size = innerWidth < 700 ? 11 : 15; size >= SMALLEST && !enough; size--) {
      terminal.options.fontSize = size;
      const found = fit.proposeDimensions();
      enough = !found || (found.cols >= LEAST[0] && found.rows >= LEAST[1]);
    }
    fit.fit();
  };

  let pixels = true;
  try {
    // Pictures that the app sends once a guest asks for them (I).
    terminal.loadAddon(new ImageAddon.ImageAddon({ sixelSupport: false, enableSizeReports: false, storageLimit: 32 }));
  } catch {
    pixels = false;
  }
  const cell = () => {
    const { width, height } = screen.querySelector(".xterm-screen").getBoundingClientRect();
    return pixels ? [width / terminal.cols, height / terminal.rows].map((side) => Math.round(side * devicePixelRatio)) : null;
  };

  let socket = null;
  let tries = 0;
  let over = false;

  const say = (words) => {
    said.textContent = words;
    said.hidden = !words;
  };
  const send = (data) => socket?.readyState === WebSocket.OPEN && socket.send(data);
  const view = () => {
    const query = new URLSearchParams(at.search);
    query.delete("c");
    return query.toString();
  };
  const link = (query) => {
    const code = at.searchParams.get("c");
    const all = [code ? "c=" + encodeURIComponent(code) : "", query].filter(Boolean).join("&");
    return at.origin + at.pathname + (all ? "?" + all : "");
  };
  const keep = (name, data) => {
    const file = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(new Blob([file], { type: "image/svg+xml" }));
    anchor.download = name;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
  };
  const copy = (text) => navigator.clipboard?.writeText(text).catch(() => say("Copy it here: " + text));

  const told = (message) => {
    if ("key" in message) sessionStorage.setItem(KEPT, message.key);
    if ("at" in message) history.replaceState(null, "", link(message.at));
    if ("copy" in message) copy(link(message.copy));
    if ("download" in message) keep(message.download, message.data);
    if ("refused" in message) { over = true; say(message.refused); }
    if ("over" in message) {
      over = true;
      sessionStorage.removeItem(KEPT);
      say(message.over + " Reload this page to begin again.");
    }
  };

  const connect = () => {
    const code = at.searchParams.get("c");
    socket = new WebSocket(at.origin.replace(/^http/, "ws") + "/ws" + (code ? "?c=" + encodeURIComponent(code) : ""));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      tries = 0;
      say("");
      const size = [terminal.cols, terminal.rows];
      send(JSON.stringify({ size, cell: cell(), key: sessionStorage.getItem(KEPT) ?? "", query: view(), theme: light ? "light" : "dark" }));
    };
    socket.onmessage = ({ data }) => (typeof data === "string" ? told(JSON.parse(data)) : terminal.write(new Uint8Array(data)));
    socket.onclose = ({ code: why, reason }) => {
      if (over) return;
      if (why === 1008) return say("This page sent too much at once and was disconnected. Reload it to go on.");
      if (tries >= WAITS.length) return say("The class can't be reached any more. Ask the lecturer, then reload this page.");
      say("The connection was lost" + (reason ? " (" + reason + ")" : "") + ". Trying again …");
      setTimeout(connect, WAITS[tries++]);
    };
  };

  terminal.onData((data) => send(bytes.encode(data)));
  terminal.onBinary((data) => send(Uint8Array.from(data, (char) => char.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => send(JSON.stringify({ size: [cols, rows] })));
  terminal.parser.registerOscHandler(52, (data) => {
    const text = data.slice(data.indexOf(";") + 1);
    if (text && text !== "?") copy(new TextDecoder().decode(Uint8Array.from(atob(text), (char) => char.charCodeAt(0))));
    return true;
  });
  new ResizeObserver(fitted).observe(screen);

  const bar = document.getElementById("keys");
  bar.hidden = !matchMedia("(pointer: coarse)").matches;
  for (const [name, key] of KEYS) {
    const button = document.createElement("button");
    button.textContent = name;
    button.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the terminal keeps the keys, and no keyboard slides in
      send(bytes.encode(key));
    });
    bar.append(button);
  }

  fitted();
  terminal.focus();
  connect();
})();
