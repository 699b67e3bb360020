// One mesh: its files and the sockets of those who want to hear of them.

import { DurableObject } from "cloudflare:workers";

import { nameOf, parentOf, typeOf } from "./path.ts";
import type { Env } from "./settings.ts";

/** Bodies up to here lie in their row, larger ones in the bucket. */
const INLINE_BYTES = 512 * 1024;

/** What the Worker in front tells along with a request. */
export const BATCH_HEADER = "x-relay-batch-ms";
export const LIMIT_HEADER = "x-mesh-bytes";

type Row = Record<string, SqlStorageValue>;

export class Mailbox extends DurableObject<Env> {
  /** The message that a batch will end with. */
  private waiting: string | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec(`
      CREATE TABLE IF NOT EXISTS control (
        path TEXT PRIMARY KEY, parent TEXT NOT NULL, size INTEGER NOT NULL, modified TEXT NOT NULL,
        etag TEXT NOT NULL, content BLOB, body TEXT
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS control_parent ON control (parent);
      CREATE TABLE IF NOT EXISTS stored (
        path TEXT PRIMARY KEY, size INTEGER NOT NULL, plaintext_size INTEGER, content_type TEXT NOT NULL,
        taint TEXT, device TEXT NOT NULL, uploaded TEXT NOT NULL, accessed TEXT, uses INTEGER NOT NULL,
        etag TEXT NOT NULL, body TEXT NOT NULL
      ) WITHOUT ROWID;`);
  }

  override async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = url.searchParams.get("path") ?? "/";
    switch (`${request.method} ${url.pathname}`) {
      case "GET /socket":
        return this.openSocket();
      case "GET /sockets":
        return Response.json({ sockets: this.ctx.getWebSockets().length });
      case "GET /file":
        return this.read(path);
      case "PUT /file":
        return this.write(path, await request.arrayBuffer(), Number(request.headers.get(BATCH_HEADER) ?? 0));
      case "DELETE /file":
        return this.remove(path, Number(request.headers.get(BATCH_HEADER) ?? 0));
      case "POST /metadata":
        return this.metadata(path);
      case "POST /list":
        return this.list(path);
      case "GET /stored-file":
        return this.readStored(path);
      case "PUT /stored-file":
        return this.writeStored(path, await request.arrayBuffer(), request.headers);
      case "DELETE /stored-file":
        return this.removeStored(path);
      case "POST /stored-file-metadata":
        return this.storedMetadata(path);
      case "POST /facts":
        return Response.json(this.row("SELECT COUNT(*) AS files, COALESCE(SUM(size), 0) AS bytes FROM control"));
      default:
        return new Response("Not found", { status: 404 });
    }
  }

  private rows(query: string, ...values: SqlStorageValue[]): Row[] {
    return this.ctx.storage.sql.exec<Row>(query, ...values).toArray();
  }

  private row(query: string, ...values: SqlStorageValue[]): Row | undefined {
    return this.rows(query, ...values)[0];
  }

  // Control files.

  private async read(path: string): Promise<Response> {
    const row = this.row("SELECT * FROM control WHERE path = ?", path);
    const body = row && (row.content ?? (await this.env.BODIES.get(String(row.body)))?.body);
    if (!row || !body) return new Response("Not found", { status: 404 });
    return new Response(body as BodyInit, {
      headers: {
        "Content-Type": "application/octet-stream",
        "Content-Length": String(row.size),
        ETag: String(row.etag),
        "Last-Modified": new Date(String(row.modified)).toUTCString(),
      },
    });
  }

  private async write(path: string, bytes: ArrayBuffer, batchMs: number): Promise<Response> {
    const type = typeOf(path);
    let status: number;
    if (type === "manifest-pointer" || type === "head" || type === "device") {
      status = this.overwrite(path, bytes);
    } else {
      status = await this.insert(path, bytes);
    }
    const isTold = type !== "device" && type !== "manifest";
    if (isTold && status < 300) this.tell("write", path, batchMs);
    return new Response(null, { status });
  }

  /** Without a pause between look and write: nobody comes in between. */
  private overwrite(path: string, bytes: ArrayBuffer): number {
    const former = this.row("SELECT content FROM control WHERE path = ?", path);
    const type = typeOf(path);
    if (type !== "device") {
      const next = parsed(bytes);
      if (next === null) return 400;
      const before = former ? parsed(former.content as ArrayBuffer) : null;
      if (before !== null && goesBack(type === "head" ? "latestHlc" : "currentGeneration", before, next)) return 409;
    }
    this.rows(
      "INSERT OR REPLACE INTO control VALUES (?, ?, ?, ?, ?, ?, NULL)",
      path,
      parentOf(path),
      bytes.byteLength,
      new Date().toISOString(),
      crypto.randomUUID(),
      bytes,
    );
    return former ? 204 : 201;
  }

  /** The first body stays, whoever comes later. */
  private async insert(path: string, bytes: ArrayBuffer): Promise<number> {
    const isThere = () => this.row("SELECT 1 FROM control WHERE path = ?", path) !== undefined;
    if (isThere()) return 200;
    const key = bytes.byteLength > INLINE_BYTES ? crypto.randomUUID() : null;
    if (key) await this.env.BODIES.put(key, bytes);
    if (isThere()) {
      if (key) await this.env.BODIES.delete(key);
      return 200;
    }
    this.rows(
      "INSERT INTO control VALUES (?, ?, ?, ?, ?, ?, ?)",
      path,
      parentOf(path),
      bytes.byteLength,
      new Date().toISOString(),
      crypto.randomUUID(),
      key ? null : bytes,
      key,
    );
    return 201;
  }

  /** Removes a path and everything below it. */
  private async remove(path: string, batchMs: number): Promise<Response> {
    const prefix = path === "/" ? "/" : `${path}/`;
    const gone = this.rows(
      "DELETE FROM control WHERE path = ?1 OR substr(path, 1, length(?2)) = ?2 RETURNING body",
      path,
      prefix,
    );
    if (gone.length === 0) return new Response(null, { status: 404 });
    const bodies = gone.map((row) => row.body).filter((body) => body !== null);
    if (bodies.length > 0) await this.env.BODIES.delete(bodies.map(String));
    this.tell("delete", path, batchMs);
    return new Response(null, { status: 204 });
  }

  private metadata(path: string): Response {
    const row = this.row("SELECT * FROM control WHERE path = ?", path);
    return row ? Response.json({ file: facts(row) }) : Response.json({ file: null }, { status: 404 });
  }

  private list(path: string): Response {
    const files = this.rows("SELECT path, size, modified, etag FROM control WHERE parent = ?", path).map(facts);
    const prefix = path === "/" ? "/" : `${path}/`;
    const below = this.rows("SELECT DISTINCT parent FROM control WHERE substr(parent, 1, length(?1)) = ?1", prefix);
    const names = below.map((row) => String(row.parent).slice(prefix.length).split("/")[0]!);
    return Response.json({ files, folders: [...new Set(names.filter((name) => name !== ""))] });
  }

  // Durable files.

  private async readStored(path: string): Promise<Response> {
    const row = this.row(
      "UPDATE stored SET uses = uses + 1, accessed = ?2 WHERE path = ?1 RETURNING *",
      path,
      new Date().toISOString(),
    );
    const object = row && (await this.env.BODIES.get(String(row.body)));
    if (!row || !object) return new Response("Not found", { status: 404 });
    const headers = { "Content-Type": String(row.content_type), ETag: String(row.etag) };
    return new Response(object.body, { headers: { ...headers, "Content-Length": String(object.size) } });
  }

  private async writeStored(path: string, bytes: ArrayBuffer, headers: Headers): Promise<Response> {
    const limit = Number(headers.get(LIMIT_HEADER));
    const used = this.row("SELECT COALESCE(SUM(size), 0) AS bytes FROM stored WHERE path <> ?", path);
    if (Number(used?.bytes) + bytes.byteLength > limit) {
      return Response.json({ error: "Mesh storage quota exceeded", limit }, { status: 413 });
    }
    // Under a key of its own: whoever reads meanwhile has the former body whole.
    const key = crypto.randomUUID();
    await this.env.BODIES.put(key, bytes);
    const former = this.row("SELECT body FROM stored WHERE path = ?", path);
    const plaintextSize = Number.parseInt(headers.get("X-Interocitor-Plaintext-Size") ?? "", 10);
    this.rows(
      "INSERT OR REPLACE INTO stored VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 0, ?, ?)",
      path,
      bytes.byteLength,
      Number.isFinite(plaintextSize) ? plaintextSize : null,
      headers.get("Content-Type") ?? "application/octet-stream",
      headers.get("X-Interocitor-Taint"),
      headers.get("X-Interocitor-Device-Id") ?? "",
      new Date().toISOString(),
      crypto.randomUUID(),
      key,
    );
    if (former) await this.env.BODIES.delete(String(former.body));
    const file = storedFacts(this.row("SELECT * FROM stored WHERE path = ?", path)!);
    return Response.json({ file }, { status: former ? 200 : 201 });
  }

  private async removeStored(path: string): Promise<Response> {
    const row = this.row("DELETE FROM stored WHERE path = ? RETURNING body", path);
    if (!row) return new Response(null, { status: 404 });
    await this.env.BODIES.delete(String(row.body));
    return new Response(null, { status: 204 });
  }

  private storedMetadata(path: string): Response {
    const row = this.row("SELECT * FROM stored WHERE path = ?", path);
    return row ? Response.json({ file: storedFacts(row) }) : Response.json({ file: null }, { status: 404 });
  }

  // The relay.

  private openSocket(): Response {
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(): void {
    // Clients have nothing to say.
  }

  override webSocketClose(socket: WebSocket): void {
    socket.close();
  }

  /** Tells everybody, the writer too. */
  private tell(op: "write" | "delete", path: string, batchMs: number): void {
    const message = { type: "invalidation", op, path, ...(op === "write" && { pathType: typeOf(path) }), ts: Date.now() };
    const text = JSON.stringify(message);
    if (batchMs === 0) return this.send(text);
    if (this.waiting === null) {
      setTimeout(() => {
        if (this.waiting !== null) this.send(this.waiting);
        this.waiting = null;
      }, batchMs);
    }
    this.waiting = text;
  }

  private send(text: string): void {
    for (const socket of this.ctx.getWebSockets()) {
      try {
        socket.send(text);
      } catch {
        // It is closing; who opened it comes back.
      }
    }
  }
}

function facts(row: Row): Record<string, unknown> {
  const path = String(row.path);
  return { name: nameOf(path), path, size: row.size, modifiedTime: row.modified, etag: row.etag };
}

function storedFacts(row: Row): Record<string, unknown> {
  return {
    ...facts({ ...row, modified: row.uploaded! }),
    uploadedByDeviceId: row.device,
    uploadedAt: row.uploaded,
    lastAccessedAt: row.accessed ?? undefined,
    useCount: row.uses,
    plaintextSize: row.plaintext_size ?? undefined,
    storedSize: row.size,
    contentType: row.content_type,
    taint: row.taint ?? undefined,
  };
}

function parsed(bytes: ArrayBuffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Clocks are compared as plain text, generations as numbers. */
function goesBack(field: string, before: Record<string, unknown>, next: Record<string, unknown>): boolean {
  const [a, b] = [before[field], next[field]];
  if (typeof a === "string" && typeof b === "string") return b < a;
  return typeof a === "number" && typeof b === "number" && b < a;
}
