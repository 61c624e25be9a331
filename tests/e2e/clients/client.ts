// Registers, cancels and lists runs with the generated types alone; prints what it was told.
import process from "node:process";
import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./api.js";

const [url, token, first] = process.argv.slice(2);
if (url === undefined || token === undefined || first === undefined) throw new Error("url, token, run");
const run = Number(first);
const client = createClient<paths>({ baseUrl: url });
const authorized: Middleware = {
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
  },
};
client.use(authorized);

function told<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

const labels = { branch: "main" };
await client.PUT("/api/v1/runs/{run_id}", { params: { path: { run_id: run } }, body: { labels } });
const { results } = told(
  await client.POST("/api/v1/runs", { body: { runs: [{ run_id: run }, { run_id: run + 1, labels }] } }),
);
const canceled = await client.POST("/api/v1/runs/{run_id}/cancel", {
  params: { path: { run_id: run } },
  body: { reason: "by a generated client" },
});
const { status } = told(canceled);
const command = canceled.response.headers.get("X-Command-Id");
if (command === null) throw new Error("no X-Command-Id");
const path = { run_id: run, command_id: command };
// A worker may not have had it yet: then it is 404, and is asked for again.
let outcome: string | null = null;
for (let tries = 0; outcome === null && tries < 20; tries++) {
  const settled = await client.GET("/api/v1/runs/{run_id}/cancellations/{command_id}", {
    params: { path, query: { wait: 5 } },
  });
  outcome = settled.data?.outcome ?? null;
}
const many = told(
  await client.POST("/api/v1/cancellations", { body: { labels, before_run: run + 2 } }),
);
const over = told(
  await client.GET("/api/v1/runs/{run_id}", {
    params: { path: { run_id: run + 1 }, query: { wait: 10 } },
  }),
);
const list = told(
  await client.GET("/api/v1/runs", { params: { query: { label: ["branch:main"], status: "canceled" } } }),
);
const missing = await client.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: 404404 } } });
console.log(
  JSON.stringify({
    registered: results.map((it) => it.result),
    status,
    outcome,
    matched: many.matched,
    over: over.status,
    listed: list.runs.map((it) => it.run_id),
    missing: missing.error?.code,
  }),
);
