// Builds the page into a folder of static files, and says how large they are: node build.mjs FOLDER
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST_BYTES = 80_000; // of all files together, by gzip

const source = join(dirname(fileURLToPath(import.meta.url)), "src");
const folder = process.argv[2];
if (!folder) {
  console.error("usage: node build.mjs FOLDER");
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
await build({
  entryPoints: [join(source, "page.tsx")],
  bundle: true,
  minify: true,
  target: ["es2022"],
  format: "esm",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  outdir: folder,
  logLevel: "warning",
});
for (const file of ["index.html", "icon.svg"]) copyFileSync(join(source, file), join(folder, file));

const bytes = readdirSync(folder)
  .map((file) => gzipSync(readFileSync(join(folder, file)), { level: 9 }).length)
  .reduce((sum, size) => sum + size, 0);
console.log(`${folder}: ${bytes} bytes by gzip, of ${MOST_BYTES}`);
if (bytes > MOST_BYTES) {
  console.error(`The page has become too large: at most ${MOST_BYTES} bytes.`);
  process.exit(1);
}
