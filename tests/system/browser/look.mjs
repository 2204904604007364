// Opens a report at one width and prints what a reader would meet, as JSON.
// node look.mjs CHROMIUM REPORT WIDTH HEIGHT light|dark [SCREENSHOT]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [executablePath, report, width, height, scheme, screenshot] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"], protocolTimeout: 240_000 });
const page = await browser.newPage();
const problems = [];
page.on("console", (message) => ["error", "warn"].includes(message.type()) && problems.push(message.text()));
page.on("pageerror", (error) => problems.push(String(error)));
page.on("request", (request) => /^https?:/.test(request.url()) && problems.push(`asked ${request.url()}`));
await page.setViewport({ width: Number(width), height: Number(height), isMobile: Number(width) < 600, hasTouch: Number(width) < 600 });
await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
await page.goto(pathToFileURL(report).href, { waitUntil: "load", timeout: 120_000 });

const column = (table, index) =>
  page.$$eval(`#table-${table} tbody tr`, (rows, at) => rows.map((row) => row.cells[at].dataset.order ?? null), index);
const press = async (table, index, how) => {
  const button = await page.$(`#table-${table} thead th:nth-child(${index + 1}) button`);
  if (how === "keyboard") {
    await button.focus();
    await page.keyboard.press("Enter");
  } else {
    await button.click();
  }
  return {
    order: await column(table, index),
    told: await page.$eval(`#table-${table} thead th:nth-child(${index + 1})`, (heading) => heading.getAttribute("aria-sort")),
  };
};
const found = {
  pictures: await page.$$eval("figure img", (images) => images.map((image) => [image.complete, image.naturalWidth > 0, image.naturalWidth])),
  overflow: await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
  byVotes: await press("films", 5, "mouse"),
  byVotesAgain: await press("films", 5, "keyboard"),
  byTitle: await press("films", 0, "keyboard"),
  byRoi: await press("films", 6, "mouse"),
};
await page.evaluate(axe);
const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
found.violations = violations.map(({ id, impact, nodes }) => ({ id, impact, first: nodes[0].html.slice(0, 200) }));
found.problems = problems;
if (screenshot) {
  await page.evaluate(() => window.scrollTo(0, 0));
  await page.screenshot({ path: screenshot });
}
await browser.close();
console.log(JSON.stringify(found));
