// What a deployment can set.

import type { PathType } from "./path.ts";

export interface Env {
  MAILBOX: DurableObjectNamespace;
  /** Bodies of durable files, and those of other files that are too large for a row. */
  BODIES: R2Bucket;
  /** Signs addresses; the public word is what clients take for granted. */
  MESH_SECRET?: string;
  /** Where it is set, an address needs its token. */
  ACCESS_SECRET?: string;
  /** Where it is set, operations of the system need it. */
  SYSTEM_TOKEN?: string;
  /** How long a listing may be answered from this location's memory; 60 at most. */
  LIST_CACHE_SECONDS?: number;
  /** How long messages are held back; the last of them is sent. */
  RELAY_BATCH_MS?: number;
  NO_RELAY?: boolean;
  NO_BODIES?: boolean;
  CONTROL_BYTES?: number;
  CHANGE_BYTES?: number;
  MAINLINE_BYTES?: number;
  OTHER_BYTES?: number;
  STORED_BYTES?: number;
  MESH_BYTES?: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** The largest body at a path of this type. */
export function limitOf(type: PathType, env: Env): number {
  if (type === "change") return env.CHANGE_BYTES ?? 8 * MIB;
  if (type === "mainline") return env.MAINLINE_BYTES ?? 16 * MIB;
  if (type === "other") return env.OTHER_BYTES ?? 8 * MIB;
  return env.CONTROL_BYTES ?? 256 * KIB;
}

export function storedLimit(env: Env): number {
  return env.STORED_BYTES ?? 32 * MIB;
}

export function meshLimit(env: Env): number {
  return env.MESH_BYTES ?? 512 * MIB;
}
