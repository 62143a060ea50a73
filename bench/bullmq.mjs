// node bullmq.mjs FOLDER PORT JOBS BYTES: BullMQ (installed in FOLDER) does what setget's path does, on the Redis server at PORT: each
// job's payload is checked to be JSON and stored under two keys in one step. The queue is filled before the clock starts. Prints jobs a second.
import { createRequire } from "node:module";

const [folder, port, jobs, bytes] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const require = createRequire(`${folder}/package.json`);
const { Queue, Worker } = require("bullmq");
const Redis = require("ioredis");

const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
const redis = new Redis(connection);
const queue = new Queue("records", { connection });

function payload(n) {
  const text = JSON.stringify({ order: n, total: 12.25, pad: "" });
  return JSON.stringify({ order: n, total: 12.25, pad: "x".repeat(bytes - text.length) });
}

for (let n = 0; n < jobs; ) {
  const some = [];
  for (; some.length < 1000 && n < jobs; n++) {
    some.push({ name: "set", data: { keys: [`order-${n}`, `order-${n}/crm`], payload: payload(n) }, opts: { removeOnComplete: true } });
  }
  await queue.addBulk(some);
}

let done = 0;
const began = process.hrtime.bigint();
await new Promise((resolve, reject) => {
  const worker = new Worker(
    "records",
    async (job) => {
      JSON.parse(job.data.payload);
      const step = redis.multi();
      for (const key of job.data.keys) step.set(key, job.data.payload, "EX", 3600);
      await step.exec();
    },
    { connection, concurrency: 200 },
  );
  worker.on("completed", () => {
    if (++done === jobs) resolve();
  });
  worker.on("failed", (job, error) => reject(error));
  worker.on("error", reject);
});
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
console.log(jobs / seconds);
process.exit(0);
