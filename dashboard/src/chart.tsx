// Bars over time, by uPlot. Beside the picture there is the same as a table, for who does not see it.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import { compact } from "./format";

const HEIGHT = 240;

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(width: number, labels: string[], title: string): uPlot.Options {
  const text = color("--quiet");
  const line = { stroke: color("--line"), width: 1 };
  const every = Math.max(1, Math.ceil(labels.length / Math.max(2, Math.floor(width / 90))));
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    scales: { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
    axes: [
      {
        stroke: text,
        grid: { show: false },
        ticks: line,
        splits: () => labels.map((_, index) => index).filter((index) => index % every === 0),
        values: (_, places) => places.map((place) => labels[place] ?? ""),
      },
      { stroke: text, grid: line, ticks: line, size: 56, values: (_, values) => values.map((value) => compact(value)) },
    ],
    series: [{}, { label: title, fill: color("--bar"), stroke: color("--bar"), paths: uPlot.paths.bars!({ size: [0.75, 60], radius: 0.15 }), points: { show: false } }],
  };
}

export function Chart({ labels, values, title, describe }: { labels: string[]; values: number[]; title: string; describe: (index: number) => string }) {
  const place = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    const element = place.current!;
    let plot: uPlot | undefined;
    const draw = () => {
      plot?.destroy();
      const made = options(element.clientWidth, labels, title);
      made.hooks = {
        setCursor: [
          ({ cursor }) => {
            if (tip.current) tip.current.textContent = cursor.idx == null || cursor.left! < 0 ? "\u00a0" : describe(cursor.idx);
          },
        ],
      };
      plot = new uPlot(made, [labels.map((_, index) => index), values], element);
    };
    draw();
    const resized = new ResizeObserver(() => plot!.width !== element.clientWidth && draw());
    resized.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => {
      resized.disconnect();
      dark.removeEventListener("change", draw);
      plot?.destroy();
    };
  }, [labels, values, title]);
  return (
    <figure class="chart">
      <figcaption class="hidden">{title} over time; the table below has the same figures.</figcaption>
      <p ref={tip} class="tip small quiet" aria-hidden="true">
        {"\u00a0"}
      </p>
      <div ref={place} aria-hidden="true" />
      <details>
        <summary>The same as a table</summary>
        <div class="scroll" tabIndex={0} role="region" aria-label={`${title} over time, as a table`}>
          <table class="figures">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">{title}</th>
              </tr>
            </thead>
            <tbody>
              {labels.map((label, index) => (
                <tr key={label}>
                  <th scope="row">{label}</th>
                  <td>{describe(index).split(": ").slice(1).join(": ")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
