/** A host as `look` sees it: the real Xl over canned or made-up answers, configuration files in a temporary directory. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { DomainFiles } from '../../../src/agent/operations/domain-files.ts';
import type { MonitoringHost } from '../../../src/agent/operations/monitor.ts';
import { resolveCxmrc, settingsFromRecord } from '../../../src/config/load.ts';
import { CxmError } from '../../../src/errors.ts';
import type { CommandResult } from '../../../src/host/commands.ts';
import { markerText } from '../../../src/one/domain/marker.ts';
import { Xl } from '../../../src/xen/xl.ts';
import { recording } from '../../xen/recording.ts';

export type Answer = string | Partial<CommandResult>;

export interface StandIn {
  readonly host: MonitoringHost;
  /** Every command line that was run. */
  readonly calls: string[];
  readonly log: string[];
  /** May be changed between looks. */
  answers: Record<string, Answer>;
  uptimeSeconds: number;
}

export const recordedAnswers: Record<string, Answer> = {
  'xl list -v': recording('xl-4.17-list-v').stdout,
  'xl list -l': recording('xl-4.17-list-l-json').stdout,
  'xl info': recording('xl-4.17-info').stdout,
  'xentop -b -f -i 1': recording('xentop-4.17-b-i1-full').stdout,
};

const directories: string[] = [];
afterAll(() => directories.forEach((directory) => rmSync(directory, { recursive: true })));

/** @param marked VM ids by the name of the configuration file that bears their marker */
export function standIn(answers: Record<string, Answer>, marked: Readonly<Record<string, number>> = {}): StandIn {
  const directory = mkdtempSync(join(tmpdir(), 'cxm-monitor-'));
  directories.push(directory);
  const config = join(directory, 'vm');
  mkdirSync(config);
  for (const [name, vmId] of Object.entries(marked)) {
    writeFileSync(join(config, name), `${markerText(vmId)}name = "${name}"\n`);
  }
  const log: string[] = [];
  const calls: string[] = [];
  const commands: MonitoringHost['commands'] = {
    run: (program, args, options) => {
      const line = [program, ...args].join(' ');
      calls.push(line);
      const answer = self.answers[line];
      if (answer === undefined) return Promise.reject(new CxmError('COMMAND', `program ${program} is missing`));
      const said = typeof answer === 'string' ? { stdout: answer } : answer;
      const result = { stdout: '', stderr: '', exitCode: 0, ...said };
      if (result.exitCode !== 0 && options?.okExitCodes !== 'any') {
        return Promise.reject(new CxmError('COMMAND', `${line} failed`));
      }
      return Promise.resolve(result);
    },
  };
  const self: StandIn = {
    calls,
    log,
    answers: { ...answers },
    uptimeSeconds: 1000,
    host: {
      settings: resolveCxmrc(settingsFromRecord({ VG_NAME: 'VG0' }, 'the test')),
      toolstack: new Xl(commands),
      commands,
      files: new DomainFiles(config, join(directory, 'auto')),
      runDirectory: join(directory, 'run'),
      log: (severity, text) => void log.push(`${severity} ${text}`),
      uptimeSeconds: () => self.uptimeSeconds,
    },
  };
  return self;
}

export interface MadeDomain {
  readonly name: string;
  readonly state?: string;
  readonly cpuSeconds?: number;
  readonly memoryMib?: number;
  readonly vcpus?: number;
}

/** `xl list -v` of domain 0 and these, with ids from 1 on. */
export function listOf(domains: readonly MadeDomain[]): string {
  const header =
    'Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label\n';
  const all = [{ name: 'Domain-0', state: 'r-----', cpuSeconds: 100, memoryMib: 512, vcpus: 1 }, ...domains];
  const rows = all.map((domain, id) => {
    const { name, state = '-b----', cpuSeconds = 5, memoryMib = 256, vcpus = 2 } = domain;
    const uuid = `00000000-0000-0000-0000-${String(id).padStart(12, '0')}`;
    return `${name.padEnd(40)} ${String(id).padStart(5)} ${String(memoryMib).padStart(5)} ${String(vcpus).padStart(5)}     ${state}  ${cpuSeconds.toFixed(1).padStart(8)} ${uuid}        -                -\n`;
  });
  return header + rows.join('');
}
