// Bundles configurable-http-proxy and all that it imports into one file, with the licences of what went in beside it.
//
//   node scripts/bundle-proxy.mjs [folder with node_modules]

import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createRequire } from "node:module";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const modules = path.resolve(process.argv[2] ?? root);
const target = path.join(root, "jupyter_mlplat", "hub", "proxy");
const { build } = await import(
  pathToFileURL(createRequire(path.join(modules, "package.json")).resolve("esbuild")).href
);

// The proxy makes its own `require`, which hides `require("../package.json")` from the bundler.
const plainRequire = {
  name: "plain-require",
  setup({ onLoad }) {
    onLoad({ filter: /configurable-http-proxy\/(bin|lib)\// }, async ({ path: file }) => {
      const source = await readFile(file, "utf8");
      return { contents: source.replace(/^const require = createRequire\(.*$/m, ""), loader: "js" };
    });
  },
};

async function bundle() {
  const { metafile } = await build({
    absWorkingDir: modules,
    entryPoints: ["node_modules/configurable-http-proxy/bin/configurable-http-proxy"],
    outfile: path.join(target, "configurable-http-proxy.cjs"),
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    metafile: true,
    legalComments: "inline",
    define: { "import.meta.url": "bundleUrl" },
    banner: { js: 'const bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
    plugins: [plainRequire],
  });
  return Object.keys(metafile.inputs);
}

function packagesOf(inputs) {
  const folders = inputs.map((input) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(input)?.[0]).filter(Boolean);
  return [...new Set(folders)].sort().map((folder) => path.join(modules, folder));
}

async function licence(folder) {
  const { name, version, license } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? await readFile(path.join(folder, file), "utf8") : "";
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
}

await mkdir(target, { recursive: true });
const packages = packagesOf(await bundle());
const notices = await Promise.all(packages.map(licence));
await writeFile(path.join(target, "LICENSES.txt"), notices.join(`\n${"-".repeat(80)}\n\n`));
console.log(`bundled ${packages.length} packages into ${path.relative(root, target)}`);
