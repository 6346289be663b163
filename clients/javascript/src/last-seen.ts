// "5 minutes ago", by the server's clock.

import type { PresenceRecord } from "./protocol.ts";

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/**
 * @param nowMs the server's time, in milliseconds since 1970
 * @returns undefined for a user never seen; "now" for one who is present
 */
export function lastSeenAgo(record: PresenceRecord, nowMs: number, locales?: Intl.LocalesArgument): string | undefined {
  if (record.lastSeen === null) return undefined;
  const isPresent = record.status !== "OFFLINE";
  const seconds = isPresent ? 0 : Math.max(0, (nowMs - Date.parse(record.lastSeen)) / 1000);
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(locales, { numeric: "auto" }).format(-Math.floor(seconds / length), unit);
}
