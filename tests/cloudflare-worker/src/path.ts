// Paths within a mesh, and what may be written at them.

/** What a path is for; it decides how it may be written and how large it may be. */
export type PathType =
  | "manifest-pointer"
  | "manifest"
  | "head"
  | "change"
  | "mainline"
  | "device"
  | "other";

/** With a slash in front and none at the end. */
export function normalised(path: string): string {
  return `/${path.replace(/^\/+/, "").replace(/\/+$/, "")}`;
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

export function typeOf(path: string): PathType {
  const name = nameOf(path);
  const folder = nameOf(parentOf(path));
  if (name === "manifest.json") return "manifest-pointer";
  if (/^manifest-\d+\.json$/.test(name)) return "manifest";
  if (folder === "changes" && name === "head.json") return "head";
  if (folder === "changes" && /^.+-chg_.+\.json$/.test(name)) return "change";
  if (folder === "mainline") return "mainline";
  if (folder === "devices") return "device";
  return "other";
}
