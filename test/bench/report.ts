/** Duty: the results of a run as Markdown tables, or as one JSON document. */
import { cpus, release } from 'node:os';
import type { Tools } from './room/tools.ts';
import type { Row, RowResult } from './row.ts';
import { shown } from './spread.ts';

export interface Report {
  readonly date: string;
  readonly processor: string;
  readonly system: string;
  readonly node: string;
  readonly nginx: string;
  readonly squid: string | null;
  readonly rounds: number;
  /** Its figures mean nothing. */
  readonly isQuick: boolean;
  readonly notes: readonly string[];
  readonly rows: readonly (RowResult & { readonly name: string; readonly title: string })[];
}

export function reportOf(
  tools: Tools,
  { rounds, isQuick }: { readonly rounds: number; readonly isQuick: boolean },
  results: readonly { readonly row: Row; readonly result: RowResult }[],
): Report {
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: `${cpus()[0]?.model.trim()}, ${cpus().length} cores`,
    system: `Linux ${release()}`,
    node: process.versions.node,
    nginx: tools.nginx,
    squid: tools.squid,
    rounds,
    isQuick,
    notes: tools.notes,
    rows: results.map(({ row, result }) => ({ name: row.name, title: row.title, ...result })),
  };
}

export function markdownOf(report: Report): string {
  const { date, processor, system, node, nginx, squid, rounds, isQuick, notes } = report;
  const versions = `Node ${node}, ${nginx}${squid === null ? '' : `, squid/${squid}`}`;
  const opening = [
    `${date}, ${processor}, ${system}, ${versions}; ${rounds} rounds; median (lowest–highest)`,
    ...(isQuick ? ['--quick: these figures mean nothing, they show that everything works.'] : []),
    ...notes,
  ];
  const sections = report.rows.map(({ name, title, note, head, lines, goals, figures }) =>
    [
      `### ${name}: ${title}`,
      '',
      ...(lines.length === 0 ? [] : [...table(head, lines), '']),
      note + foreignNote(figures),
      ...(goals.length === 0 ? [] : ['', ...table(['goal', 'measured', ''], goals.map(goalLine))]),
    ].join('\n'),
  );
  return `${[opening.join('\n'), ...sections].join('\n\n')}\n`;
}

/** What else ran on the candidate's core, where the row measured it: much of it means that the figures are worth little. */
function foreignNote(figures: RowResult['figures']): string {
  const percents = Object.entries(figures)
    .filter(([name]) => name.endsWith('.foreign'))
    .flatMap(([, values]) => values.map((share) => share * 100));
  return percents.length === 0 ? '' : ` Others used ${shown(percents, 1)} % of the candidate's core meanwhile.`;
}

const goalLine = ({ text, measured, isMet }: RowResult['goals'][number]): string[] => [
  text,
  measured,
  isMet === null ? '–' : isMet ? 'met' : 'not met',
];

function table(head: readonly string[], lines: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...lines.map(line)];
}
