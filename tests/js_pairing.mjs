// A strict model of how the JavaScript client pairs, written from the protocol description: it takes either
// part of a pairing over a folder, with that language's own cryptography.
//
// usage: node js_pairing.mjs generate FOLDER RELAY_BASE share|join CAPABILITIES CREDENTIAL
//        node js_pairing.mjs scan FOLDER RELAY_BASE PAYLOAD CAPABILITIES CREDENTIAL
//
// CAPABILITIES and CREDENTIAL are JSON or null. `generate` prints its payload first; both print what they
// received at last, as JSON, or null. Any deviation that would throw there exits 1 with a line on stderr.
import { webcrypto } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const { subtle } = webcrypto;
const [role, folder, relayBase, what, capabilitiesText, credentialText] = process.argv.slice(2);
const own = JSON.parse(capabilitiesText);
const credential = JSON.parse(credentialText);
const fail = (message) => { console.error(`FAULT (${role}): ${message}`); process.exit(1); };
const expectKeys = (place, value, ...allowed) => {
  const keys = Object.keys(value).join();
  if (!allowed.includes(keys)) fail(`${place}: keys ${keys}`);
};

// Base64url without padding.
const encode = (bytes) => Buffer.from(bytes).toString("base64url");
const decode = (text) => {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) fail("base64url");
  return Buffer.from(text, "base64url");
};

const CURVE = { name: "ECDH", namedCurve: "P-256" };
const keys = await subtle.generateKey(CURVE, true, ["deriveBits"]);
const ownPub = encode(await subtle.exportKey("spki", keys.publicKey));

async function wrappingKey(theirPub) {
  const theirs = await subtle.importKey("spki", decode(theirPub), CURVE, true, []);
  const shared = await subtle.deriveBits({ name: "ECDH", public: theirs }, keys.privateKey, 256);
  const secret = await subtle.importKey("raw", shared, "HKDF", false, ["deriveKey"]);
  const info = new TextEncoder().encode("interocitor-handshake-v1");
  return subtle.deriveKey({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info }, secret,
    { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

const sorted = (list) => [...new Set(list ?? [])].sort();
const profile = (said) => ({ supported: sorted(said?.supported), required: sorted(said?.required) });
const onWire = (said) => {
  const { supported, required } = profile(said);
  if (!supported.length && !required.length) return {};
  return { capabilities: { supported, ...(required.length && { required }) } };
};
function agree(a, b) {
  for (const [left, right] of [[a, b], [b, a]]) {
    for (const id of left.required) {
      if (!left.supported.includes(id) || !right.supported.includes(id)) fail(`capability ${id}`);
    }
  }
}
function bound(intent, handshakeId, generatorPub, scannerPub, generator, scanner) {
  if (!generator.required.length && !scanner.required.length) return undefined;
  return new TextEncoder().encode(JSON.stringify({
    v: 2, intent, handshakeId, generatorPub, scannerPub, generatorCapabilities: generator, scannerCapabilities: scanner,
  }));
}

async function seal(key, additionalData) {
  const iv = webcrypto.getRandomValues(new Uint8Array(12));
  const text = new TextEncoder().encode(JSON.stringify(credential));
  const ct = await subtle.encrypt({ name: "AES-GCM", iv, ...(additionalData && { additionalData }) }, key, text);
  return JSON.stringify({ v: additionalData ? 2 : 1, iv: encode(iv), ct: encode(new Uint8Array(ct)) });
}
async function open(key, additionalData, text) {
  const envelope = JSON.parse(text);
  expectKeys("credentials.json", envelope, "v,iv,ct");
  if (envelope.v !== (additionalData ? 2 : 1)) fail(`envelope version ${envelope.v}`);
  const iv = decode(envelope.iv);
  if (iv.length !== 12) fail("iv");
  const plain = await subtle
    .decrypt({ name: "AES-GCM", iv, ...(additionalData && { additionalData }) }, key, decode(envelope.ct))
    .catch(() => fail("decrypt"));
  const received = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(plain));
  expectKeys("credential", received, "remotePath", "remotePath,passphrase");
  return received;
}

// The relay: any fault of a read counts as "not there yet".
const pathOf = (id, name) => join(folder, relayBase, "handshake", id, name);
async function poll(id, name) {
  const until = Date.now() + 30_000;
  while (Date.now() < until) {
    try { return readFileSync(pathOf(id, name), "utf8"); } catch { await new Promise((done) => setTimeout(done, 20)); }
  }
  fail(`timed out waiting for ${name}`);
}
// No folder is made: a strict server would refuse the write.
const write = (id, name, text) => writeFileSync(pathOf(id, name), text);
const cleanUp = (id) => ["scanner-pub.json", "credentials.json"].forEach((name) => rmSync(pathOf(id, name), { force: true }));
const done = (received) => console.log(JSON.stringify(received));

async function receive(id, key, additionalData) {
  const received = await open(key, additionalData, await poll(id, "credentials.json"));
  cleanUp(id);
  return received;
}

if (role === "generate") {
  const intent = what;
  const id = Buffer.from(webcrypto.getRandomValues(new Uint8Array(12))).toString("hex");
  // The one folder that another client of this kind would find missing on a strict server, too.
  mkdirSync(pathOf(id, "."), { recursive: true });
  const payload = { intent, handshakeId: id, generatorPub: ownPub, ...onWire(own) };
  console.log(encode(new TextEncoder().encode(JSON.stringify(payload))));
  const hello = JSON.parse(await poll(id, "scanner-pub.json"));
  expectKeys("scanner-pub.json", hello, "pub", "pub,capabilities");
  agree(profile(own), profile(hello.capabilities));
  const key = await wrappingKey(hello.pub);
  const additionalData = bound(intent, id, ownPub, hello.pub, profile(own), profile(hello.capabilities));
  if (intent === "share") {
    write(id, "credentials.json", await seal(key, additionalData));
    done(null);
  } else {
    done(await receive(id, key, additionalData));
  }
} else {
  const payload = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(decode(what)));
  const order = ["intent", "handshakeId", "generatorPub", "adapterConfig", "capabilities"];
  expectKeys("payload", payload, order.filter((field) => field in payload).join());
  const { intent, handshakeId: id, generatorPub } = payload;
  if (!/^[0-9a-f]{24}$/.test(id)) fail(`handshake id ${id}`);
  agree(profile(own), profile(payload.capabilities));
  write(id, "scanner-pub.json", JSON.stringify({ pub: ownPub, ...onWire(own) }));
  const key = await wrappingKey(generatorPub);
  const additionalData = bound(intent, id, generatorPub, ownPub, profile(payload.capabilities), profile(own));
  if (intent === "share") {
    done(await receive(id, key, additionalData));
  } else {
    write(id, "credentials.json", await seal(key, additionalData));
    done(null);
  }
}
