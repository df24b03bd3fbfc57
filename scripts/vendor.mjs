// Copies the front-end packages that we serve ourselves from node_modules into static/vendor, with licences and hashes.
// Run by `make vendor` after `npm ci --ignore-scripts`; the result is committed, so that an installation needs no Node.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const OUT = "static/vendor";
const FONTS = [
  { pkg: "@fontsource/source-serif-4", family: "Source Serif 4", folder: "source-serif-4", styles: ["normal", "italic"] },
  { pkg: "@fontsource/inter", family: "Inter", folder: "inter", styles: ["normal"] },
  { pkg: "@fontsource/jetbrains-mono", family: "JetBrains Mono", folder: "jetbrains-mono", styles: ["normal"] },
];
const SUBSETS = ["latin", "latin-ext"];
const WEIGHTS = [400, 600];

function copyCharts() {
  const to = join(OUT, "uplot");
  mkdirSync(to, { recursive: true });
  for (const file of ["dist/uPlot.esm.js", "dist/uPlot.min.css", "LICENSE"])
    cpSync(join("node_modules/uplot", file), join(to, file.replace("dist/", "")));
}

function copyFont({ pkg, family, folder, styles }) {
  const from = join("node_modules", pkg);
  const to = join(OUT, "fonts", folder);
  mkdirSync(to, { recursive: true });
  cpSync(join(from, "LICENSE"), join(to, "LICENSE"));
  const ranges = JSON.parse(readFileSync(join(from, "unicode.json"), "utf8"));
  const faces = [];
  for (const subset of SUBSETS)
    for (const style of styles)
      for (const weight of WEIGHTS) {
        const name = `${folder}-${subset}-${weight}-${style}.woff2`;
        cpSync(join(from, "files", name), join(to, name));
        faces.push(
          `@font-face{font-family:"${family}";font-style:${style};font-weight:${weight};font-display:swap;` +
            `src:url("${folder}/${name}") format("woff2");unicode-range:${ranges[subset]}}`,
        );
      }
  return faces;
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(OUT, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

rmSync(OUT, { recursive: true, force: true });
copyCharts();
const faces = FONTS.flatMap(copyFont);
writeFileSync(join(OUT, "fonts/fonts.css"), `/* Written by scripts/vendor.mjs: the faces that we serve. */\n${faces.join("\n")}\n`);
const lines = filesBelow(OUT).map((file) => `${createHash("sha256").update(readFileSync(join(OUT, file))).digest("hex")}  ${file}`);
writeFileSync(join(OUT, "SHA256SUMS"), `${lines.join("\n")}\n`);
console.log(`${lines.length} files in ${OUT}`);
