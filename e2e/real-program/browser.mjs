// A real browser at the door: it loads Gitea's pages with their scripts and styles, logs in by the
// form, and looks at a page for people who are logged in. Speaks Chromium's own protocol, so that
// nothing has to be installed besides Chromium and Node.
//   node browser.mjs DOOR USER PASSWORD FOLDER-FOR-SCREENSHOTS
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [door, user, password, folder] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "doorward-browser-"));
const browser = spawn("chromium", [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  // The door's certificate is a trial's own.
  "--ignore-certificate-errors", "--window-size=1200,800",
  `--user-data-dir=${profile}`, "--remote-debugging-port=0", "about:blank",
], { stdio: ["ignore", "ignore", "pipe"] });
const end = (code, words) => {
  console.log(words);
  browser.on("exit", () => {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    process.exit(code);
  });
  browser.kill();
};
setTimeout(() => end(1, "  ✗ the browser took longer than two minutes"), 120_000).unref();

const address = await new Promise((found) => {
  let text = "";
  browser.stderr.on("data", (chunk) => {
    text += chunk;
    const match = text.match(/DevTools listening on (ws:\S+)/);
    if (match) found(match[1]);
  });
});
const socket = new WebSocket(address);
await new Promise((open) => socket.addEventListener("open", open));
let last = 0;
let session;
const waiting = new Map();
const failures = [];
socket.addEventListener("message", ({ data }) => {
  const { id, result, error, method, params } = JSON.parse(data);
  if (id) waiting.get(id)(error ? Promise.reject(new Error(error.message)) : result);
  if (method === "Network.responseReceived" && params.response.status >= 400) {
    failures.push(`${params.response.status} ${params.response.url}`);
  }
  if (method === "Runtime.exceptionThrown") failures.push(params.exceptionDetails.exception?.description);
});
const ask = (method, params = {}) => new Promise((answer) => {
  last += 1;
  waiting.set(last, answer);
  socket.send(JSON.stringify({ id: last, method, params, sessionId: session }));
});
const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
session = (await ask("Target.attachToTarget", { targetId, flatten: true })).sessionId;
await ask("Network.enable");
await ask("Runtime.enable");
await ask("Page.enable");

const evaluate = async (expression) =>
  (await ask("Runtime.evaluate", { expression, returnByValue: true })).result.value;
const until = async (what, expression) => {
  for (let n = 0; n < 150; n += 1) {
    if (await evaluate(expression).catch(() => false)) return console.log(`  ✓ ${what}`);
    await new Promise((later) => setTimeout(later, 200));
  }
  throw new Error(`${what}: never true: ${expression}`);
};
const shoot = async (name) => {
  const { data } = await ask("Page.captureScreenshot", { format: "png" });
  writeFileSync(join(folder, `${name}.png`), Buffer.from(data, "base64"));
};

try {
  await ask("Page.navigate", { url: `${door}/user/login` });
  await until("the login page stands, with its styles and scripts",
    `document.readyState === "complete" && !!document.querySelector("#user_name")
      && [...document.styleSheets].some((sheet) => sheet.cssRules.length > 500) && !!window.config`);
  await shoot("login");
  await evaluate(`document.querySelector("#user_name").value = ${JSON.stringify(user)};
    document.querySelector("#password").value = ${JSON.stringify(password)};
    document.querySelector("#user_name").closest("form").requestSubmit()`);
  await until("the form logs in, and the browser is still at the door",
    `location.href === ${JSON.stringify(`${door}/`)} && document.readyState === "complete"
      && document.body.innerText.includes(${JSON.stringify(user)})`);
  await shoot("dashboard");
  await ask("Page.navigate", { url: `${door}/robot/big` });
  await until("a private repository shows itself to an administrator",
    `document.readyState === "complete" && document.body.innerText.includes("big.bin")`);
  await shoot("repository");
  if (failures.length) throw new Error(`failures on the way: ${failures.join(", ")}`);
  end(0, "  ✓ nothing failed to load");
} catch (error) {
  await shoot("failed").catch(() => {});
  end(1, `  ✗ ${error.message}`);
}
