// Runs the Worker in workerd on a loopback port: node serve.mjs PORT
//
// The first part of a path is the place where the Worker is mounted, and stands for a way of running it:
// `/secret` wants tokens, `/far` is a location whose listings are a minute old, `/batched` has a relay that keeps
// the last message of a second, `/tiny` is full soon, `/bare` has neither relay nor bodies.

import { build } from "esbuild";
import { Miniflare } from "miniflare";

const port = Number(process.argv[2]);
const { outputFiles } = await build({
  entryPoints: [new URL("src/index.ts", import.meta.url).pathname],
  bundle: true,
  format: "esm",
  target: "es2022",
  external: ["cloudflare:workers"],
  write: false,
});

const worker = (name, bindings, routes) => ({
  name,
  modules: true,
  script: outputFiles[0].text,
  compatibilityDate: "2026-04-01",
  bindings,
  routes,
  r2Buckets: { BODIES: "bodies" },
  durableObjects: {
    MAILBOX: { className: "Mailbox", useSQLite: true, ...(name === "near" ? {} : { scriptName: "near" }) },
  },
});

const miniflare = new Miniflare({
  host: "127.0.0.1",
  port,
  workers: [
    worker("near", { SYSTEM_TOKEN: "system" }, []),
    worker("secret", { ACCESS_SECRET: "s3cret" }, ["*/secret/*"]),
    worker("far", { LIST_CACHE_SECONDS: 60 }, ["*/far/*"]),
    worker("batched", { RELAY_BATCH_MS: 1000 }, ["*/batched/*"]),
    worker("tiny", { STORED_BYTES: 100_000, MESH_BYTES: 150_000, CHANGE_BYTES: 20_000 }, ["*/tiny/*"]),
    worker("bare", { NO_RELAY: true, NO_BODIES: true }, ["*/bare/*"]),
  ],
});
const stop = () => miniflare.dispose().then(() => process.exit(0));
process.on("SIGTERM", stop);
process.on("SIGINT", stop);
await miniflare.ready;
