// How things are written for people, in their browser's language.

const integer = new Intl.NumberFormat(undefined);
const decimal = new Intl.NumberFormat(undefined, { maximumFractionDigits: 12 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const exactTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const exactDate = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const utcDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

// Digits of any length, exactly: newer engines format texts of numbers without making doubles of them.
export function number(digits: string): string {
  return (digits.includes(".") ? decimal : integer).format(digits as unknown as number);
}

export function compact(value: number): string {
  return short.format(value);
}

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

// "3 minutes ago", "in 2 days".
export function ago(iso: string, now = Date.now()): string {
  const seconds = (Date.parse(iso) - now) / 1000;
  for (const [unit, size] of UNITS) if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  return seconds <= 0 ? "just now" : relative.format(1, "minute");
}

export function time(iso: string): string {
  return exactTime.format(new Date(iso));
}

export function date(iso: string): string {
  return exactDate.format(new Date(iso));
}

// A day of a summary, which is one in UTC.
export function day(iso: string): string {
  return utcDay.format(new Date(iso));
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  const [value, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : bytes < 1e9 ? [bytes / 1e6, "MB"] : [bytes / 1e9, "GB"];
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}

export function plural(count: number, one: string, many = one + "s"): string {
  return `${integer.format(count)} ${count === 1 ? one : many}`;
}
