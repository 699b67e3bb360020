// Addresses of meshes and the tokens that open them.

const encoder = new TextEncoder();
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The tag of an address: the first 8 bytes of HMAC-SHA-256(secret, uuid) in base64url. */
async function tagOf(uuid: string, secret: string): Promise<string> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(uuid)));
  const text = btoa(String.fromCharCode(...digest.subarray(0, 8)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Whether an address was issued under this secret. */
export async function isIssued(address: string, secret: string): Promise<boolean> {
  const dot = address.lastIndexOf(".");
  const uuid = address.slice(0, Math.max(dot, 0));
  return UUID_V7.test(uuid) && isSame(address.slice(dot + 1), await tagOf(uuid, secret));
}

/** A new address. */
export async function issue(secret: string): Promise<string> {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const now = Date.now();
  for (let at = 0; at < 6; at++) bytes[at] = Math.floor(now / 256 ** (5 - at)) % 256;
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  const uuid = parts.join("-");
  return `${uuid}.${await tagOf(uuid, secret)}`;
}

/** The token of an address: hex SHA-256 of address and secret. */
export async function tokenOf(address: string, secret: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(address + secret));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Compares without telling by the time where two texts differ. */
export function isSame(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let at = 0; at < b.length; at++) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}
