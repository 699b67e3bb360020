// The Worker: routes, access, limits, and listings that may be a little old.

import { isIssued, isSame, issue, tokenOf } from "./address.ts";
import { BATCH_HEADER, LIMIT_HEADER, Mailbox } from "./mailbox.ts";
import { normalised, typeOf } from "./path.ts";
import { limitOf, meshLimit, storedLimit, type Env } from "./settings.ts";

export { Mailbox };

const DEFAULT_SECRET = "interocitor";

interface Listing {
  until: number;
  text: string;
}

/** The memory of this location; other locations neither see nor clear it. */
const listings = new Map<string, Listing>();

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    // What stands before is the place where the Worker is mounted.
    const route = /\/(io|notify|__interocitor\/system)\/([^/]+)(\/.*)?$/.exec(url.pathname);
    if (!route) return new Response("Not found", { status: 404 });
    const address = decodeURIComponent(route[2]!);
    if (route[1] === "__interocitor/system") return system(request, address, env);
    if (!(await isIssued(address, env.MESH_SECRET ?? DEFAULT_SECRET))) {
      return Response.json({ error: "No such address" }, { status: 400 });
    }
    if (env.ACCESS_SECRET) {
      const given = bearer(request) ?? (route[1] === "notify" ? url.searchParams.get("access_token") : null);
      if (!isSame(given ?? "", await tokenOf(address, env.ACCESS_SECRET))) {
        return Response.json({ error: "Unauthorized" }, { status: 401 });
      }
    }
    const mailbox = env.MAILBOX.get(env.MAILBOX.idFromName(address));
    if (route[1] === "notify") return notify(request, route[3] ?? "", mailbox, env);
    return io(request, `${request.method} ${route[3] ?? ""}`, address, url, mailbox, env);
  },
};

function bearer(request: Request): string | null {
  return /^Bearer (.*)$/.exec(request.headers.get("Authorization") ?? "")?.[1] ?? null;
}

async function notify(request: Request, rest: string, mailbox: DurableObjectStub, env: Env): Promise<Response> {
  if (env.NO_RELAY) return new Response("No relay", { status: 501 });
  if (rest === "/health") return mailbox.fetch("https://mailbox/sockets");
  if (request.headers.get("Upgrade") !== "websocket") {
    return new Response("Expected a WebSocket", { status: 426 });
  }
  return mailbox.fetch("https://mailbox/socket", { headers: { Upgrade: "websocket" } });
}

async function io(
  request: Request,
  operation: string,
  address: string,
  url: URL,
  mailbox: DurableObjectStub,
  env: Env,
): Promise<Response> {
  const inner = new URL("https://mailbox/");
  const ask = (method: string, route: string, path: string, init: RequestInit = {}) => {
    inner.pathname = route;
    inner.searchParams.set("path", normalised(path));
    return mailbox.fetch(inner.toString(), { ...init, method });
  };
  const path = normalised(url.searchParams.get("path") ?? "/");
  const batch = { [BATCH_HEADER]: String(env.RELAY_BATCH_MS ?? 0) };
  switch (operation) {
    case "GET /health":
      return new Response("ok\n");
    case "GET /file":
      return ask("GET", "/file", path);
    case "PUT /file": {
      const limit = limitOf(typeOf(path), env);
      const body = await request.arrayBuffer();
      if (body.byteLength > limit) return tooLarge(limit);
      if (path === "/") return Response.json({ error: "No path" }, { status: 400 });
      return ask("PUT", "/file", path, { body, headers: batch });
    }
    case "DELETE /file":
      return ask("DELETE", "/file", path, { headers: batch });
    case "POST /ensure-folder":
      return new Response(null, { status: 204 });
    case "POST /metadata":
    case "POST /stored-file-metadata":
      return ask("POST", operation.slice("POST ".length), await pathIn(request));
    case "POST /list-files":
    case "POST /list-folders":
      return list(await pathIn(request), operation === "POST /list-files" ? "files" : "folders", address, env, (path) =>
        ask("POST", "/list", path),
      );
    case "GET /stored-file":
    case "DELETE /stored-file":
    case "PUT /stored-file": {
      if (env.NO_BODIES) return Response.json({ error: "No body store" }, { status: 501 });
      const method = operation.split(" ")[0]!;
      if (method !== "PUT") return ask(method, "/stored-file", path);
      const body = await request.arrayBuffer();
      if (body.byteLength > storedLimit(env)) return tooLarge(storedLimit(env));
      if (!request.headers.get("X-Interocitor-Device-Id")?.trim()) {
        return Response.json({ error: "Missing X-Interocitor-Device-Id" }, { status: 401 });
      }
      const headers = new Headers({ [LIMIT_HEADER]: String(meshLimit(env)) });
      for (const name of ["Content-Type", "X-Interocitor-Device-Id", "X-Interocitor-Plaintext-Size", "X-Interocitor-Taint"]) {
        const value = request.headers.get(name);
        if (value !== null) headers.set(name, value);
      }
      return ask("PUT", "/stored-file", path, { body, headers });
    }
    default:
      return new Response("Not found", { status: 404 });
  }
}

function tooLarge(limit: number): Response {
  return Response.json({ error: "Payload too large", limit }, { status: 413 });
}

async function pathIn(request: Request): Promise<string> {
  const body = await request.json<{ path?: unknown }>().catch(() => ({ path: "/" }));
  return normalised(String(body.path ?? "/"));
}

async function list(
  path: string,
  field: "files" | "folders",
  address: string,
  env: Env,
  fresh: (path: string) => Promise<Response>,
): Promise<Response> {
  const key = `${address} ${path}`;
  let listing = listings.get(key);
  if (!listing || listing.until <= Date.now()) {
    const seconds = Math.min(env.LIST_CACHE_SECONDS ?? 0, 60);
    listing = { until: Date.now() + seconds * 1000, text: await (await fresh(path)).text() };
    if (seconds > 0) listings.set(key, listing);
  }
  const found = JSON.parse(listing.text) as Record<string, unknown>;
  return Response.json({ [field]: found[field] });
}

async function system(request: Request, address: string, env: Env): Promise<Response> {
  if (request.method !== "POST") return new Response("Not found", { status: 404 });
  const given = bearer(request) ?? request.headers.get("x-interocitor-system-token");
  if (env.SYSTEM_TOKEN && !isSame(given ?? "", env.SYSTEM_TOKEN)) {
    return Response.json({ error: "Unauthorized" }, { status: 401 });
  }
  const body = await request.json<{ op?: unknown; meshId?: unknown }>().catch(() => ({ op: "", meshId: "" }));
  const secret = env.MESH_SECRET ?? DEFAULT_SECRET;
  if (body.op === "issue-mesh-id") return Response.json({ meshId: await issue(secret) });
  if (body.op === "validate-mesh-id") return Response.json({ valid: await isIssued(String(body.meshId ?? ""), secret) });
  if (!(await isIssued(address, secret))) return Response.json({ error: "No such address" }, { status: 400 });
  // Nothing here needs maintenance; who asks hears how large the mesh is.
  const maintenance = ["run-maintenance", "maintenance-status", "reconcile-metrics"];
  if (!maintenance.includes(String(body.op))) return Response.json({ error: "Unknown op" }, { status: 404 });
  return env.MAILBOX.get(env.MAILBOX.idFromName(address)).fetch("https://mailbox/facts", { method: "POST" });
}
