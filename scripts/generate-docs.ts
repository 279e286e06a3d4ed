import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { generateDocuments } from "./documents.ts";

const top = join(import.meta.dirname, "..");

for (const { path, content } of generateDocuments()) {
  await mkdir(dirname(join(top, path)), { recursive: true });
  await writeFile(join(top, path), content);
  console.log(`wrote ${path}`);
}
