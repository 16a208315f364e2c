// What the keys were used for. All sums are made by the server; here they are only drawn.
import { useEffect, useMemo, useState } from "preact/hooks";

import { type Group, type Query, type Sums, type Summary, summarize } from "./api";
import { day, number } from "./format";
import { PRESETS, type Preset, type Range, groupingOf, placesIn, rangeOf } from "./range";
import { Chart } from "./chart";
import { ExportButtons, ImportDialog } from "./transfer";
import { Shown, useLoad } from "./load";
import { Empty, Text, useSession } from "./ui";

type Metric = "requests" | "tokens" | "cost";
const METRICS: [Metric, string][] = [
  ["requests", "Requests"],
  ["tokens", "Tokens"],
  ["cost", "Cost"],
];

interface Filters {
  endpoint?: string;
  model?: string;
  status?: string;
  keyId?: string;
}

// Of the tokens there are two sums; they are exact as whole numbers.
function tokens(sums: Sums): string {
  return (BigInt(sums.tokensIn) + BigInt(sums.tokensOut)).toString();
}

function figure(sums: Sums, metric: Metric): string {
  return metric === "tokens" ? tokens(sums) : sums[metric];
}

// A range of days, by name or by its ends.
export function RangePicker({ preset, range, onChange }: { preset: Preset; range: Range; onChange: (preset: Preset, range: Range) => void }) {
  return (
    <div class="range">
      <div class="segments" role="group" aria-label="Days">
        {PRESETS.map(([value, title]) => (
          <button key={value} type="button" aria-pressed={preset === value} onClick={() => onChange(value, rangeOf(value))}>
            {title}
          </button>
        ))}
      </div>
      <label>
        From <input type="date" value={range.from} max={range.to} onChange={(event) => event.currentTarget.value && onChange("custom", { ...range, from: event.currentTarget.value })} />
      </label>
      <label>
        to <input type="date" value={range.to} min={range.from} onChange={(event) => event.currentTarget.value && onChange("custom", { ...range, to: event.currentTarget.value })} />
      </label>
      <span class="quiet small">Days are in UTC.</span>
    </div>
  );
}

const NONE = "\u0000";

function Select({ title, value, options, onChange }: { title: string; value: string | undefined; options: [string, string][]; onChange: (value: string | undefined) => void }) {
  const known = value === undefined || options.some(([each]) => each === value);
  return (
    <label>
      {title}
      <select value={value ?? NONE} onChange={(event) => onChange(event.currentTarget.value === NONE ? undefined : event.currentTarget.value)}>
        <option value={NONE}>all</option>
        {options.map(([each, name]) => (
          <option key={each} value={each}>
            {name}
          </option>
        ))}
        {!known && <option value={value}>{value || "(none)"}</option>}
      </select>
    </label>
  );
}

const IMPORTED = "00000000-0000-0000-0000-000000000000"; // the key of what was imported

const nameOf = (group: Group): string => group.name ?? (group.group === IMPORTED ? "(imported)" : group.group || "(none)");

export function Usage() {
  const session = useSession();
  const [preset, setPreset] = useState<Preset>("30");
  const [range, setRange] = useState(() => rangeOf("30"));
  const [filters, setFilters] = useState<Filters>({});
  const [metric, setMetric] = useState<Metric>("requests");
  const [importing, setImporting] = useState(false);
  const days: Query = { startDate: range.from, endDate: range.to };
  const query: Query = { ...days, ...filters };
  const by = groupingOf(range);
  const shown = useLoad(JSON.stringify(query), async (signal) => {
    const [overTime, endpoint, model, key] = await Promise.all([by, "endpoint", "model", "key"].map((grouping) => summarize(grouping, query, signal)));
    return { overTime: overTime!, endpoint: endpoint!, model: model!, key: key!, range };
  });
  // What there is to choose from does not depend on what is chosen.
  const [choices, setChoices] = useState<Record<"endpoint" | "model" | "key", Summary>>();
  const filtered = Object.values(filters).some((value) => value !== undefined);
  useEffect(() => {
    if (!filtered && shown.data) setChoices(shown.data);
  }, [shown.data]);
  const optionsOf = (summary: Summary | undefined): [string, string][] => (summary?.data ?? []).map((group) => [group.group, nameOf(group)]);
  const choose = (change: Filters) => setFilters((before) => ({ ...before, ...change }));
  return (
    <section aria-labelledby="usage-title">
      <div class="bar">
        <h2 id="usage-title">Usage</h2>
        <ExportButtons what="usage" query={query} formats={["csv", "json"]} />
        <button type="button" disabled={!session.may("usage:write")} title={session.may("usage:write") ? undefined : "This key has not the scope usage:write"} onClick={() => setImporting(true)}>
          Import
        </button>
      </div>
      <RangePicker
        preset={preset}
        range={range}
        onChange={(name, chosen) => {
          setPreset(name);
          setRange(chosen);
        }}
      />
      <div class="filters">
        <Select title="Endpoint" value={filters.endpoint} options={optionsOf(choices?.endpoint)} onChange={(endpoint) => choose({ endpoint })} />
        <Select title="Model" value={filters.model} options={optionsOf(choices?.model)} onChange={(model) => choose({ model })} />
        <Select title="Key" value={filters.keyId} options={optionsOf(choices?.key)} onChange={(keyId) => choose({ keyId })} />
        <Select
          title="Outcome"
          value={filters.status}
          options={[
            ["success", "success"],
            ["error", "error"],
          ]}
          onChange={(status) => choose({ status })}
        />
        {filtered && (
          <button type="button" onClick={() => setFilters({})}>
            Clear filters
          </button>
        )}
      </div>
      <Shown of={shown} empty={(data) => data.overTime.total.requests === "0" && <Empty title="No usage">{filtered ? "Nothing fits these filters in these days." : "No key of yours was used in these days."}</Empty>}>
        {(data) => (
          <div class={shown.loading ? "stale" : undefined} aria-busy={shown.loading}>
            <Totals of={data.overTime.total} metric={metric} onChange={setMetric} />
            <OverTime of={data.overTime} range={data.range} metric={metric} />
            <div class="columns">
              <Breakdown title="By endpoint" of={data.endpoint} metric={metric} />
              <Breakdown title="By model" of={data.model} metric={metric} />
              <Breakdown title="By key" of={data.key} metric={metric} />
            </div>
          </div>
        )}
      </Shown>
      {importing && (
        <ImportDialog
          what="usage"
          onClose={() => setImporting(false)}
          onImported={shown.reload}
        />
      )}
    </section>
  );
}

// The totals are the switch for what is drawn.
function Totals({ of, metric, onChange }: { of: Sums; metric: Metric; onChange: (metric: Metric) => void }) {
  return (
    <div class="totals" role="group" aria-label="Totals; choose what is drawn">
      {METRICS.map(([each, title]) => (
        <button key={each} type="button" aria-pressed={metric === each} onClick={() => onChange(each)}>
          <span>{title}</span>
          <strong>{number(figure(of, each))}</strong>
          {each === "tokens" && (
            <span class="quiet small">
              {number(of.tokensIn)} in, {number(of.tokensOut)} out
            </span>
          )}
        </button>
      ))}
    </div>
  );
}

function OverTime({ of, range, metric }: { of: Summary; range: Range; metric: Metric }) {
  const [labels, values, exact] = useMemo(() => {
    const found = new Map(of.data.map((group) => [group.group, figure(group, metric)]));
    const places = placesIn(range);
    const figures = places.map((place) => found.get(place) ?? "0");
    return [places, figures.map(Number), figures] as const;
  }, [of, range, metric]);
  const title = METRICS.find(([each]) => each === metric)![1];
  const describe = (index: number) => `${labels[index]!.length === 10 ? day(labels[index]!) : labels[index]}: ${number(exact[index]!)}`;
  return <Chart labels={labels as string[]} values={values as number[]} title={title} describe={describe} />;
}

const MOST_LINES = 8;

function Breakdown({ title, of, metric }: { title: string; of: Summary; metric: Metric }) {
  const [all, setAll] = useState(false);
  const lines = useMemo(() => [...of.data].sort((a, b) => Number(figure(b, metric)) - Number(figure(a, metric))), [of, metric]);
  const most = Number(lines[0] ? figure(lines[0], metric) : 0) || 1;
  return (
    <section class="breakdown" aria-label={title}>
      <h3>{title}</h3>
      <table>
        <thead class="hidden">
          <tr>
            <th scope="col">{title.slice(3)}</th>
            <th scope="col">{METRICS.find(([each]) => each === metric)![1]}</th>
          </tr>
        </thead>
        <tbody>
          {lines.slice(0, all ? undefined : MOST_LINES).map((line) => (
            <tr key={line.group}>
              <th scope="row">
                <Text>{nameOf(line)}</Text>
                <meter min={0} max={most} value={Number(figure(line, metric))} aria-hidden="true" />
              </th>
              <td>{number(figure(line, metric))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {lines.length > MOST_LINES && (
        <button type="button" class="more" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${lines.length}`}
        </button>
      )}
    </section>
  );
}
