// npm ajv on a workload: see bench/schema_peers. Warmed up for five seconds, for its code is compiled by V8 as it runs.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const [workload, formats, modules] = process.argv.slice(2);
const require = createRequire(modules + "/x.js");
const classes = { "draft7": require("ajv").default, "draft2019-09": require("ajv/dist/2019").default, "draft2020-12": require("ajv/dist/2020").default };
const addFormats = require("ajv-formats").default;
const groups = [];
let compile = Infinity;
for await (const text of createInterface({ input: createReadStream(workload) })) {
  const line = JSON.parse(text);
  const make = (all) => {
    const ajv = new classes[line.draft]({ strict: false, logger: false, validateFormats: formats === "formats", allErrors: all });
    if (formats === "formats") addFormats(ajv);
    return ajv.compile(JSON.parse(line.schema));
  };
  if (!classes[line.draft]) continue;
  try {
    const start = performance.now();
    const validate = make(false);
    compile = Math.min(compile, performance.now() - start);
    groups.push({ validate, all: make(true), texts: line.documents, values: line.documents.map((one) => JSON.parse(one)) });
  } catch {
    continue;
  }
}
const now = () => performance.now() / 1000;
const rate = (documents, once) => {
  for (const start = now(); now() - start < 5; ) once();
  let best = 0;
  for (let i = 0; i < 5; ++i) {
    let done = 0;
    const start = now();
    while (now() - start < 0.3) once(), (done += documents);
    best = Math.max(best, done / (now() - start));
  }
  return Math.round(best);
};
let sink = 0;
const documents = groups.reduce((sum, group) => sum + group.texts.length, 0);
const invalid = groups.flatMap((group) => group.values.filter((one) => !group.validate(one)).map((one) => [group.all, one]));
const parsed = rate(documents, () => { for (const { validate, values } of groups) for (const one of values) sink += validate(one); });
const bytes = rate(documents, () => { for (const { validate, texts } of groups) for (const one of texts) sink += validate(JSON.parse(one)); });
const errors = invalid.length ? rate(invalid.length, () => { for (const [all, one] of invalid) all(one), (sink += all.errors.length); }) : 0;
console.log(JSON.stringify({ peer: "npm ajv", documents, invalid: invalid.length, compile_ms: +compile.toFixed(3), parsed, bytes, errors, sink: sink > 0 }));
