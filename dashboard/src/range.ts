// Ranges of days. All days are UTC's, as those of exports are: what is shown is what is exported.

export interface Range {
  from: string; // 2026-11-01
  to: string; // the last day, which belongs to it
}

const DAY = 86_400_000;

function isoDay(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

function monthBegins(year: number, month: number): number {
  return Date.UTC(year, month, 1);
}

export const PRESETS = [
  ["today", "Today"],
  ["7", "7 days"],
  ["30", "30 days"],
  ["month", "This month"],
  ["last", "Last month"],
  ["90", "90 days"],
  ["365", "12 months"],
] as const;
export type Preset = (typeof PRESETS)[number][0] | "custom";

export function rangeOf(preset: Preset, now = Date.now()): Range {
  const today = new Date(now);
  const [year, month] = [today.getUTCFullYear(), today.getUTCMonth()];
  switch (preset) {
    case "today":
      return { from: isoDay(now), to: isoDay(now) };
    case "month":
      return { from: isoDay(monthBegins(year, month)), to: isoDay(now) };
    case "last":
      return { from: isoDay(monthBegins(year, month - 1)), to: isoDay(monthBegins(year, month) - DAY) };
    case "365":
      return { from: isoDay(monthBegins(year, month - 11)), to: isoDay(now) };
    case "custom":
      return rangeOf("30", now);
    default:
      return { from: isoDay(now - (Number(preset) - 1) * DAY), to: isoDay(now) };
  }
}

export function daysIn(range: Range): number {
  return Math.round((Date.parse(range.to) - Date.parse(range.from)) / DAY) + 1;
}

// Above this a chart has a bar for each month.
export const MOST_DAYS = 130;

export function groupingOf(range: Range): "day" | "month" {
  return daysIn(range) > MOST_DAYS ? "month" : "day";
}

// The days, or months, of a range, as summaries name them: those without usage are not in the answer.
export function placesIn(range: Range): string[] {
  const places: string[] = [];
  const by = groupingOf(range);
  for (let at = Date.parse(range.from); at <= Date.parse(range.to) && places.length < 2000; ) {
    places.push(isoDay(at).slice(0, by === "month" ? 7 : 10));
    const date = new Date(at);
    at = by === "month" ? monthBegins(date.getUTCFullYear(), date.getUTCMonth() + 1) : at + DAY;
  }
  return places;
}
