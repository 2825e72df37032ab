// look.cjs [--pictures DIR] PAGE.html…: opens each page from the file system in a browser and
// fails when it asks anything of the network, breaks its own content security policy, has a
// serious accessibility fault in light or in the dark, or scrolls sideways on a phone.
const fs = require("node:fs");
const path = require("node:path");
const {execFileSync} = require("node:child_process");
const {pathToFileURL} = require("node:url");
const puppeteer = require("puppeteer-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const PHONE = {width: 390, height: 844, deviceScaleFactor: 1.5, isMobile: true, hasTouch: true};
const DESK = {width: 1180, height: 1500, deviceScaleFactor: 0.8};
// A4 at 96 dots an inch.
const PAPER = {width: 794, height: 1123, deviceScaleFactor: 1};

const words = process.argv.slice(2);
const pictures = words[0] === "--pictures" ? words.splice(0, 2)[1] : null;
const faults = [];

function browserProgram() {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("sh", ["-c", `command -v ${name}`], {encoding: "utf8"}).trim();
    } catch {
      continue;
    }
  }
  throw new Error("no Chromium here: apt-get install chromium");
}

async function accessible(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, {resultTypes: ["violations"]}));
  for (const {id, impact, help, nodes} of found.violations) {
    const where = nodes.slice(0, 3).map((node) => node.target.join(" ")).join("; ");
    const text = `${what}: ${impact} ${id}: ${help} (${nodes.length}: ${where})`;
    if (["serious", "critical"].includes(impact)) faults.push(text);
    else console.log(`note: ${text}`);
  }
  console.log(`${what}: axe-core ${found.testEngine.version}, ${found.violations.length} violations`);
}

async function narrow(page, what) {
  const {wide, widest} = await page.evaluate(() => {
    const inside = (element) => element.closest(".scroll, .wrap") !== null;
    const out = [...document.querySelectorAll("body *")].filter(
      (element) => !inside(element) && element.getBoundingClientRect().right > innerWidth + 1,
    );
    return {wide: document.scrollingElement.scrollWidth, widest: out.slice(0, 3).map((e) => e.outerHTML.slice(0, 120))};
  });
  console.log(`${what}: ${wide} px wide`);
  if (wide > PHONE.width) faults.push(`${what}: scrolls sideways, ${wide} px wide: ${widest.join(" ")}`);
}

async function sorts(page, what) {
  const order = await page.evaluate(() => {
    const heading = document.querySelector("#speed ~ .wrap th:nth-child(3) button");
    if (heading === null) return null;
    const values = () => [...heading.closest("table").tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value));
    heading.click();
    const up = values();
    heading.click();
    return [up, values()];
  });
  if (order === null) return;
  const rises = (list) => list.every((value, at) => at === 0 || list[at - 1] <= value);
  if (!rises(order[0]) || !rises(order[1].reverse())) faults.push(`${what}: a heading does not sort its table`);
}

async function look(browser, file) {
  const name = path.basename(file, ".html");
  const page = await browser.newPage();
  const address = pathToFileURL(path.resolve(file)).href;
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(`${name}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`${name}: ${error.message}`));
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{name: "prefers-color-scheme", value: scheme}]);
    await page.setViewport(DESK);
    await page.goto(address);
    await keep(page, `${name}-${scheme}`);
    if (scheme === "light") {
      await page.evaluate(() => document.getElementById("pictures")?.scrollIntoView());
      await keep(page, `${name}-pictures`);
    }
    await accessible(page, `${name}, ${scheme}`);
    await page.setViewport(PHONE);
    await page.goto(address);
    await narrow(page, `${name}, ${scheme}, phone`);
    await accessible(page, `${name}, ${scheme}, phone`);
    if (scheme === "light") await keep(page, `${name}-phone`);
  }
  await page.setViewport(DESK);
  await page.goto(address);
  await sorts(page, name);
  await page.emulateMediaFeatures([]);
  const pdf = await page.pdf({format: "A4", printBackground: true});
  if (pdf.length < 1000) faults.push(`${name}: does not print`);
  await page.emulateMediaType("print");
  await page.setViewport(PAPER);
  await page.goto(address);
  await keep(page, `${name}-print`);
  const foreign = requests.filter((url) => url !== address);
  console.log(`${name}: ${requests.length} loads of the file itself, ${foreign.length} other requests`);
  faults.push(...foreign.map((url) => `${name}: asked for ${url.slice(0, 200)}`));
  await page.close();
}

async function keep(page, name) {
  // One page is enough for the documents.
  if (pictures !== null && name.startsWith("report-")) await page.screenshot({path: path.join(pictures, `${name}.png`)});
}

(async () => {
  const root = process.getuid() === 0 ? ["--no-sandbox"] : [];
  const browser = await puppeteer.launch({
    executablePath: browserProgram(),
    args: [...root, "--host-resolver-rules=MAP * ~NOTFOUND", "--font-render-hinting=none"],
  });
  try {
    for (const file of words) await look(browser, file);
  } finally {
    await browser.close();
  }
  for (const fault of faults) console.error(`FAULT ${fault}`);
  process.exit(faults.length === 0 ? 0 : 1);
})();
