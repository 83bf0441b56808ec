// Looks at the page of the conformance suite and at that of `imds-emulator run`, whose files are given, in
// the browser $BROWSER.
import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const file = pathToFileURL(resolve(process.argv[2])).href;
const runs = pathToFileURL(resolve(process.argv[3])).href;
const pictures = process.env.SCREENSHOTS;
if (pictures) mkdirSync(pictures, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "report-page-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.BROWSER,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

const fits = async (page, where) => {
  const [content, window] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    innerWidth,
  ]);
  assert.ok(content <= window, `${where}: ${content} pixels in a window of ${window}`);
};

// Nothing in the panel is wider than the panel.
const dialogFits = async (page, where) => {
  const [content, room] = await page.evaluate(() => {
    const dialog = document.querySelector("dialog");
    return [dialog.scrollWidth, dialog.clientWidth];
  });
  assert.ok(content <= room, `${where}: a panel of ${content} pixels in ${room}`);
};

// As WCAG has it: 4.5 for text.
const contrast = (page, selectors) =>
  page.evaluate((selectors) => {
    const numbers = (color) => color.match(/[\d.]+/g).map(Number);
    const light = (color) => {
      const [r, g, b] = numbers(color).map((part) => {
        const of = part / 255;
        return of <= 0.04045 ? of / 12.92 : ((of + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const color = getComputedStyle(at).backgroundColor;
        if ((numbers(color)[3] ?? 1) > 0) return color;
      }
      return "rgb(255, 255, 255)";
    };
    const worst = [];
    for (const selector of selectors) {
      for (const element of document.querySelectorAll(selector)) {
        const style = getComputedStyle(element);
        const text = light(element instanceof SVGElement ? style.fill : style.color);
        const [dark, bright] = [text, light(behind(element))].sort((a, b) => a - b);
        const ratio = (bright + 0.05) / (dark + 0.05);
        if (ratio < 4.5) worst.push(`${selector}: ${ratio.toFixed(2)}`);
      }
    }
    return [...new Set(worst)];
  }, selectors);

// Labels of a timeline that lie on each other.
const overlaps = (page) =>
  page.evaluate(() => {
    const boxes = [...document.querySelectorAll("dialog .lanes text")]
      .map((text) => [text.textContent, text.getBoundingClientRect()])
      .filter(([, box]) => box.width > 0);
    const found = [];
    boxes.forEach(([one, a], at) => {
      for (const [other, b] of boxes.slice(at + 1)) {
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 1 && high > 4) found.push(`${one} | ${other}`);
      }
    });
    return found;
  });

try {
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") errors.push(message.text());
  });
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) errors.push(`it asks for ${request.url()}`);
  });

  for (const scheme of ["light", "dark"]) {
    for (const [width, height] of [[1280, 900], [400, 800]]) {
      const where = `${scheme}, ${width}`;
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize({ width, height });
      await page.goto(file);
      await fits(page, where);
      const texts = ["h1", ".facts", ".legend", ".counts span", "th", ".sign", ".cell", ".weight"];
      assert.deepEqual(await contrast(page, texts), [], where);
      if (pictures && width === 1280) await page.screenshot({ path: join(pictures, `page-${scheme}.png`) });
      if (pictures && width === 400 && scheme === "light") {
        await page.screenshot({ path: join(pictures, "page-narrow.png") });
      }

      // Names of clients and scenarios stay in sight.
      await page.evaluate(() => {
        const matrix = document.querySelector(".matrix");
        matrix.scrollIntoView();
        matrix.scrollTo(120, 300);
      });
      const stays = await page.evaluate(() => {
        const matrix = document.querySelector(".matrix").getBoundingClientRect();
        const head = document.querySelector("thead th:first-child").getBoundingClientRect();
        return [Math.round(head.top - matrix.top), Math.round(head.left - matrix.left)];
      });
      assert.deepEqual(stays, [1, 1], `${where}: the matrix's corner`);

      // A cell opens its timeline, by the mouse and by the keyboard.
      const telling = page.locator('.cell.failed[data-link="aws-config/throttling/many-callers"]');
      const cell = (await telling.count()) ? telling : page.locator(".cell.failed").first();
      const link = await cell.getAttribute("data-link");
      await cell.click();
      const lanes = page.locator("dialog[open] svg.lanes");
      await lanes.waitFor({ state: "visible" });
      assert.equal(decodeURIComponent(new URL(page.url()).hash), `#${link}`);
      await fits(page, `${where}, ${link}`);
      await dialogFits(page, `${where}, ${link}`);
      const inside = ["h2", "h3", "dialog p", "dialog li", "dialog .quiet", ".badge", ".key span", ".names text"];
      assert.deepEqual(await contrast(page, inside), [], `${where}, ${link}`);
      if (pictures && width === 1280) {
        const name = scheme === "light" ? "timeline.png" : "timeline-dark.png";
        await page.screenshot({ path: join(pictures, name) });
      }
      if (pictures && width === 400 && scheme === "light") {
        await page.screenshot({ path: join(pictures, "timeline-narrow.png") });
      }
      await page.keyboard.press("Escape");
      await page.locator("dialog").waitFor({ state: "hidden" });
      assert.equal(await page.evaluate(() => document.activeElement.dataset.link), link, "the focus is back");
      await page.keyboard.press("Enter");
      await lanes.waitFor({ state: "visible" });
      await page.goBack();
      await page.locator("dialog").waitFor({ state: "hidden" });
    }
  }

  // Every cell opens what is its own, and no label lies on another.
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.goto(file);
  const links = await page.evaluate(() => [...document.querySelectorAll(".cell")].map((cell) => cell.dataset.link));
  assert.ok(links.length > 0);
  for (const link of links) {
    await page.evaluate((link) => {
      location.hash = encodeURIComponent(link).replaceAll("%2F", "/");
    }, link);
    const title = page.locator("dialog[open]").getByText(link.slice(link.indexOf("/") + 1), { exact: true });
    await title.waitFor({ state: "visible" });
    assert.deepEqual(await overlaps(page), [], link);
    await dialogFits(page, link);
  }

  // An address opens it from the start.
  const other = await context.newPage();
  await other.goto(`${file}#${links.at(-1)}`);
  await other.locator("dialog[open] svg.lanes").waitFor({ state: "visible" });
  await other.close();

  // The filters.
  await page.goto("about:blank");
  await page.goto(file);
  const shown = () => page.locator("tr[data-id]:visible").count();
  const all = await shown();
  await page.locator("#only-failed").check();
  assert.equal(await shown(), await page.locator("tr[data-failed]").count());
  await page.locator("#only-failed").uncheck();
  await page.locator("#search").fill("no scenario has these words");
  assert.equal(await shown(), 0);
  await page.locator("#search").fill("token/");
  assert.ok((await shown()) > 0 && (await shown()) < all);

  // The report of a command.
  for (const scheme of ["light", "dark"]) {
    for (const width of [1280, 400]) {
      const where = `run, ${scheme}, ${width}`;
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize({ width, height: 900 });
      await page.goto(runs);
      await fits(page, where);
      await page.locator("#words summary").click();
      const told = await page.locator("#words dd").allTextContents();
      assert.ok(told.some((line) => line.includes("GET /latest/meta-data/instance-id: 401")), told.join("\n"));
      const texts = ["h1", "h2", "h3", ".facts", ".ready", "dt", "dd", ".verdicts b", ".key span", ".names text"];
      assert.deepEqual(await contrast(page, texts), [], where);
      if (pictures) await page.screenshot({ path: join(pictures, `run-${scheme}-${width}.png`), fullPage: true });
    }
  }

  assert.deepEqual(errors, []);
  console.log(`report-page: ${links.length} cells open, at 1280 and 400 pixels, light and dark`);
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
