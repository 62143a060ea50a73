// peer_ajv.mjs plain|formats: one line of 1 and 0, ajv's verdicts on GitHub's payloads in the order of the package.
import { readFileSync } from "node:fs";
import Ajv from "ajv";
import addFormats from "ajv-formats";

const packages = "node_modules/@octokit/";
const schema = JSON.parse(readFileSync(packages + "webhooks-schemas/schema.json", "utf8"));
const events = JSON.parse(readFileSync(packages + "webhooks-examples/api.github.com/index.json", "utf8"));
const asserted = process.argv[2] === "formats";
const ajv = new Ajv.default({ strict: false, logger: false, validateFormats: asserted });
if (asserted) addFormats.default(ajv);
const validate = ajv.compile(schema);
process.stdout.write(events.flatMap((event) => event.examples.map((one) => (validate(one) ? "1" : "0"))).join(""));
