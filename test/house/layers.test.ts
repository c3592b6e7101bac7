/** The two sentences of the house about its layers: imports point one way, and pure modules import nothing that acts. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

/** Lower numbers may be imported by higher ones, and folders of one number by each other only as listed. */
const layers: Readonly<Record<string, number>> = {
  config: 1,
  host: 1,
  balance: 2,
  ha: 2,
  lvm: 2,
  transfer: 2,
  xen: 2,
  cluster: 3,
  agent: 4,
  cxmd: 4,
  one: 5,
  cli: 5,
  sandbox: 6,
};

/** The marker of a VM's configuration is OpenNebula's word, which the helper must read too. */
const allowed = new Set(['agent one']);

/** Modules that decide: a function of their input. */
const pure = [
  ...(readdirSync('src/balance') as string[]).map((file) => `src/balance/${file}`),
  ...(readdirSync('src/ha/protocol') as string[]).map((file) => `src/ha/protocol/${file}`),
  'src/ha/bytes.ts',
  'src/ha/records.ts',
  'src/ha/calls/messages.ts',
  'src/ha/calls/shape.ts',
  'src/ha/daemon/settings.ts',
  'src/ha/daemon/view.ts',
  'src/config/size.ts',
  'src/config/language.ts',
  'src/config/types.ts',
  'src/config/cxmrc.ts',
  'src/config/cxm-conf.ts',
  'src/config/schema.ts',
  'src/config/load.ts',
  'src/config/render.ts',
  'src/cluster/check.ts',
  'src/cluster/metrics.ts',
  'src/cluster/metrics-counters.ts',
  'src/cluster/metrics-infos.ts',
  'src/cluster/migrate-checks.ts',
  'src/cluster/steps.ts',
  'src/lvm/device-path.ts',
  'src/lvm/names.ts',
  'src/lvm/report.ts',
  'src/transfer/plan.ts',
  'src/transfer/archive-note.ts',
  'src/transfer/archive-size.ts',
  'src/one/tm/size.ts',
  'src/one/tm/progress.ts',
  'src/xen/config-file.ts',
  'src/xen/config-syntax.ts',
  'src/xen/disk.ts',
  'src/xen/nic.ts',
  'src/xen/domain-list.ts',
];

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)';/gms)].map((match) => match[1] ?? '');
}

const sources = (readdirSync('src', { recursive: true }) as string[])
  .filter((file) => file.endsWith('.ts'))
  .map((file) => join('src', file));

describe('layers', () => {
  test('imports point from higher layers to lower ones', () => {
    const wrong = sources.flatMap((file) => {
      const own = file.split('/')[1] ?? '';
      return importsOf(file)
        .filter((name) => name.startsWith('.'))
        .map((name) => normalize(join(dirname(file), name)))
        .filter((target) => {
          const other = target.split('/')[1] ?? '';
          if (layers[other] === undefined || other === own || allowed.has(`${own} ${other}`)) return false;
          return (layers[own] ?? 0) <= (layers[other] ?? 9);
        })
        .map((target) => `${file} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  test.each(pure)('%s imports nothing that acts', (file) => {
    expect(importsOf(file).filter((name) => name.startsWith('node:'))).toEqual([]);
  });
});
