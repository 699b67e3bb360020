// A strict model of what the two generations of the JavaScript client accept, written from the protocol
// description: it decodes a mailbox folder the way they do, on a real JavaScript engine, and prints what
// a fresh device of that generation would hold.
//
// usage: node js_clients.mjs b10|new MAILBOX_ROOT REMOTE_PATH [PASSPHRASE]
//
// Any deviation that would throw or poison there exits 1 with a line on stderr.
import { createHash, webcrypto } from "node:crypto";
import { readFileSync, readdirSync, existsSync } from "node:fs";
import { join } from "node:path";

const [generation, root, remotePath, passphrase] = process.argv.slice(2);
const isNew = generation === "new";
const fail = (message) => { console.error(`FAULT (${generation}): ${message}`); process.exit(1); };
const read = (path) => readFileSync(join(root, path), "utf8");

// Keys: base58 without checksum; the newer client accepts the canonical spelling only.
const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
function keyBytes(text) {
  let n = 0n;
  for (const c of text.trim()) { const d = ALPHABET.indexOf(c); if (d < 0) fail("passphrase character"); n = n * 58n + BigInt(d); }
  const bytes = new Uint8Array(32);
  for (let i = 31; i >= 0; i--) { bytes[i] = Number(n & 255n); n >>= 8n; }
  if (n > 0n) fail("passphrase too long");
  return bytes;
}
const key = passphrase ? await webcrypto.subtle.importKey("raw", keyBytes(passphrase), "AES-GCM", false, ["decrypt"]) : null;
const base64 = (text) => { const bin = atob(text); return Uint8Array.from(bin, (c) => c.charCodeAt(0)); };

async function payloadOf(path) {
  const text = read(path);
  if (!key) return JSON.parse(text);
  const envelope = JSON.parse(text);
  if (envelope.v !== 1) fail(`${path}: envelope version ${envelope.v}`);
  if (Object.keys(envelope).join() !== "v,iv,ct") fail(`${path}: envelope keys ${Object.keys(envelope)}`);
  const iv = base64(envelope.iv);
  if (iv.length !== 12) fail(`${path}: iv`);
  let plain;
  try { plain = await webcrypto.subtle.decrypt({ name: "AES-GCM", iv }, key, base64(envelope.ct)); } catch { fail(`${path}: decrypt`); }
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(plain));
}

// Clocks: parsed by splitting at the first two dashes, compared as numbers, then by code unit.
function clock(text) {
  if (typeof text !== "string") fail(`clock ${text}`);
  const a = text.indexOf("-"), b = text.indexOf("-", a + 1);
  const parsed = { ts: parseInt(text.slice(0, a), 10), counter: parseInt(text.slice(a + 1, b), 16), node: text.slice(b + 1) };
  if (a !== 15 || b !== 20 || Number.isNaN(parsed.ts) || Number.isNaN(parsed.counter) || !parsed.node) fail(`clock form ${text}`);
  return parsed;
}
function compare(x, y) {
  const a = clock(x), b = clock(y);
  return a.ts - b.ts || a.counter - b.counter || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0);
}

// The manifest: hash over the re-serialised text in file order.
const pointer = JSON.parse(read("manifest.json"));
const manifest = JSON.parse(read(pointer.file));
const { contentHash, ...body } = manifest;
const hash = "sha256:" + createHash("sha256").update(JSON.stringify(body)).digest("hex");
if (hash !== contentHash) fail("contentHash");
if (manifest.version !== 3) fail("manifest version");
if (manifest.encrypted !== (key !== null)) fail("encryption mode");
if (read("manifest.json") !== JSON.stringify(pointer, null, 2)) fail("pointer layout");
if (read(pointer.file) !== JSON.stringify(manifest, null, 2)) fail("manifest layout");
for (const [name, type] of Object.entries({ generation: "number", parentGeneration: "number", writtenBy: "string", writtenAt: "string", meshId: "string", schema: "number", epoch: "number", watermarkHlc: "string", createdAt: "string" }))
  if (typeof manifest[name] !== type) fail(`manifest ${name}`);
if (isNew && manifest.retention !== undefined && !(manifest.retention.compactAfterMs > 0)) fail("manifest retention");

function checkPayload(path, payload, kind) {
  if (payload.kind !== kind) fail(`${path}: kind ${payload.kind}`);
  if (isNew && payload.mesh !== undefined && payload.meshId === undefined) fail(`${path}: old layout`);
  if (typeof payload.meshId !== "string" || payload.meshId !== manifest.meshId) fail(`${path}: mesh`);
}

const equal = (a, b) => {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((k) => Object.hasOwn(b, k) && equal(a[k], b[k]));
};

// Rows and their merge, last writer wins, as section 10 describes the code.
const rows = new Map();
const at = (table, rowId) => JSON.stringify([table, rowId]);
function applyDelete(op, path) {
  if (typeof op.table !== "string" || typeof op.rowId !== "string") fail(`${path}: delete`);
  clock(op.hlc);
  const row = rows.get(at(op.table, op.rowId));
  if (!row) { rows.set(at(op.table, op.rowId), { table: op.table, rowId: op.rowId, deleted: op.hlc, payload: {} }); return; }
  if (row.deleted && compare(row.deleted, op.hlc) >= 0) return;
  if (Object.values(row.payload).some((c) => compare(c.hlc, op.hlc) > 0)) return;
  row.deleted = op.hlc; row.payload = {};
}
function applyUpsert(op, path) {
  if (typeof op.table !== "string" || typeof op.rowId !== "string" || typeof op.columns !== "object") fail(`${path}: upsert`);
  let row = rows.get(at(op.table, op.rowId));
  if (!row) rows.set(at(op.table, op.rowId), (row = { table: op.table, rowId: op.rowId, deleted: undefined, payload: {} }));
  let columns = Object.entries(op.columns);
  for (const [name, entry] of columns) { if (!("value" in entry)) fail(`${path}: ${name} has no value`); clock(entry.hlc); }
  if (row.deleted) {
    columns = columns.filter(([, entry]) => compare(entry.hlc, row.deleted) > 0);
    if (!columns.length) return;
    row.deleted = undefined; row.payload = {};
  }
  for (const [name, entry] of columns) {
    const known = Object.hasOwn(row.payload, name) ? row.payload[name] : undefined;
    if (!known) { Object.defineProperty(row.payload, name, { value: entry, enumerable: true, writable: true, configurable: true }); continue; }
    const order = compare(entry.hlc, known.hlc);
    if (order > 0) row.payload[name] = entry;
    if (order === 0 && isNew && !equal(entry.value, known.value)) fail(`${path}: two values under ${entry.hlc}`);
  }
}

let covered = new Set();
if (manifest.snapshotPath) {
  const prefix = `${remotePath}/`;
  if (!manifest.snapshotPath.startsWith(prefix)) fail("snapshotPath is under another root");
  const path = manifest.snapshotPath.slice(prefix.length);
  const payload = await payloadOf(path);
  checkPayload(path, payload, "snapshot");
  for (const table of Object.values(payload.snapshot.tables)) for (const row of Object.values(table)) {
    const { table: t, rowId, deleted, schemaVersion } = row._meta;
    if (typeof deleted !== "boolean" || typeof schemaVersion !== "number" || typeof row.payload !== "object") fail(`${path}: row shape`);
    if (deleted && !row._meta.deletedHlc) fail(`${path}: a tombstone without clock`);
    if (!deleted && row._meta.deletedHlc) fail(`${path}: a live row with deletedHlc`);
    rows.set(at(t, rowId), { table: t, rowId, deleted: deleted ? row._meta.deletedHlc : undefined, payload: { ...row.payload } });
  }
  covered = new Set(isNew ? (payload.snapshot.coveredChangeFiles ?? []) : []);
}

// Change files: the older client sorts names by locale and keeps one cursor, the newer one sorts by clock.
const names = existsSync(join(root, "changes")) ? readdirSync(join(root, "changes")) : [];
const changes = names.filter((name) => name !== "head.json" && name.includes("-chg_"));
const fileClock = (name) => name.slice(0, name.lastIndexOf("-chg_"));
if (isNew) changes.sort((a, b) => compare(fileClock(a), fileClock(b)) || (a < b ? -1 : 1));
else changes.sort((a, b) => a.localeCompare(b));
let cursor = null;
for (const name of changes) {
  if (covered.has(name)) continue;
  const path = `changes/${name}`;
  const payload = await payloadOf(path);
  checkPayload(path, payload, "change");
  const { entry } = payload;
  if (typeof entry.id !== "string" || !entry.id.startsWith("chg_") || typeof entry.ts !== "number" || typeof entry.device !== "string" || !Array.isArray(entry.ops)) fail(`${path}: entry`);
  if (name !== `${entry.hlc}-${entry.id}.json`) fail(`${path}: name`);
  if (!isNew && cursor !== null && compare(entry.hlc, cursor) <= 0) fail(`${path}: behind the cursor of a device that reads in order`);
  for (const op of entry.ops) {
    if (op.type === "upsert") applyUpsert(op, path);
    else if (op.type === "delete") applyDelete(op, path);
    else fail(`${path}: op ${op.type}`);
  }
  cursor = entry.hlc;
}

// The head must not be behind what was published, or the older client skips the listing.
if (changes.length) {
  const text = read("changes/head.json");
  const head = JSON.parse(text);
  if (text !== JSON.stringify(head, null, 2)) fail("head layout");
  for (const name of changes) if (compare(fileClock(name), head.latestHlc) > 0) fail(`head is behind ${name}`);
}

for (const name of existsSync(join(root, "devices")) ? readdirSync(join(root, "devices")) : []) {
  const text = read(`devices/${name}`);
  const record = JSON.parse(text);
  if (text !== JSON.stringify(record, null, 2)) fail(`devices/${name}: layout`);
  if (`${record.deviceId}.json` !== name || !record.registeredAt || Number.isNaN(Date.parse(record.lastSeenAt))) fail(`devices/${name}`);
  if (record.observedWatermarkHlc) clock(record.observedWatermarkHlc);
}

const tables = {};
for (const row of rows.values()) {
  if (row.deleted) continue;
  (tables[row.table] ??= {})[row.rowId] = Object.fromEntries(Object.entries(row.payload).map(([name, entry]) => [name, entry.value]));
}
console.log(JSON.stringify({ meshId: manifest.meshId, epoch: manifest.epoch, generation: manifest.generation, tables }));
