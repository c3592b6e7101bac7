/**
 * The calls that real OpenNebula 3.8 and 7.x frontends made to a recording driver (test/fixtures/one), as records.
 * Arguments and standard input are given back as the driver got them: what the recorder wrote down decoded is encoded
 * in base64 again.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const oneVersions = ['3.8', '7.x'] as const;
export type OneVersion = (typeof oneVersions)[number];

export interface Recording {
  readonly file: string;
  readonly version: OneVersion;
  /** Order of the calls. */
  readonly sequence: number;
  readonly scenario: string;
  readonly driver: 'tm' | 'vmm' | 'datastore';
  /** Without the system TM's name behind a dot. */
  readonly action: string;
  /** The script that oned ran. */
  readonly path: string;
  readonly argv: readonly string[];
  readonly environment: ReadonlyMap<string, string>;
  /** As it arrived: raw or base64. */
  readonly standardInput: string;
  /** The XML document of the call, wherever it was; undefined if it had none. */
  readonly document: string | undefined;
}

const directory = fileURLToPath(new URL('../fixtures/one/', import.meta.url));

/** The text of a file of the recordings, such as `onevm-show-x.xml`. */
export function recordedFile(version: OneVersion, name: string): string {
  return readFileSync(`${directory}${version}/${name}`, 'utf8');
}

/** All recorded driver calls of a version, in their order. */
export function recordings(version: OneVersion): Recording[] {
  return readdirSync(`${directory}${version}`)
    .filter((name) => /^[0-9]{4}-.*\.txt$/.test(name))
    .sort()
    .map((name) => parseRecording(version, name, recordedFile(version, name)));
}

/** The recorded calls of one driver, without the datastore ones, of both versions. */
export function driverCalls(driver: 'tm' | 'vmm'): Recording[] {
  return oneVersions.flatMap((version) => recordings(version)).filter((recording) => recording.driver === driver);
}

/** The call of a version with this number. */
export function recording(version: OneVersion, sequence: number): Recording {
  const prefix = `${String(sequence).padStart(4, '0')}-`;
  const file = readdirSync(`${directory}${version}`).find((name) => name.startsWith(prefix));
  if (file === undefined) throw new Error(`there is no recording ${sequence} of ${version}`);
  return parseRecording(version, file, recordedFile(version, file));
}

function parseRecording(version: OneVersion, file: string, text: string): Recording {
  const [head = '', ...sections] = text.split(/^--- /m);
  const title = /^# (tm|vmm|datastore) (\S+), scenario=(.*)$/m.exec(head);
  if (title === null) throw new Error(`${file} does not start as a recording does`);
  const bodies = new Map(sections.map((section) => splitSection(section)));
  const decoded = new Map<number, string>();
  for (const [name, body] of bodies) {
    const index = /^argv\[(\d+)\] base64-decoded:$/.exec(name)?.[1];
    if (index !== undefined) decoded.set(Number(index), body);
  }
  const argv = Array.from({ length: Number(/^argc: (\d+)$/m.exec(head)?.[1] ?? NaN) }, (_, index) => {
    const document = decoded.get(index + 1);
    if (document !== undefined) return Buffer.from(document).toString('base64');
    const plain = new RegExp(`^argv\\[${index + 1}\\]: (.*)$`, 'm').exec(head)?.[1];
    if (plain === undefined) throw new Error(`${file} lacks argument ${index + 1}`);
    return plain;
  });
  const input = standardInput(bodies);
  return {
    file,
    version,
    sequence: Number(file.slice(0, 4)),
    scenario: title[3] ?? '',
    driver: title[1] as Recording['driver'],
    action: (title[2] ?? '').replace(/\..*$/, ''),
    path: /^path: (.*)$/m.exec(head)?.[1] ?? '',
    argv,
    environment: environment(/^env-ONE: (.*)$/m.exec(head)?.[1] ?? ''),
    standardInput: input.passed,
    document: [...decoded.values()][0] ?? (input.plain.startsWith('<') ? input.plain : undefined),
  };
}

/** Heading and text. */
function splitSection(section: string): [string, string] {
  const end = section.indexOf('\n');
  return [section.slice(0, end), section.slice(end + 1)];
}

function standardInput(sections: ReadonlyMap<string, string>): { passed: string; plain: string } {
  const plain = sections.get('stdin raw:') ?? sections.get('stdin xml:');
  if (plain !== undefined) return { passed: plain, plain };
  const encoded = sections.get('stdin base64-decoded xml:');
  if (encoded === undefined) return { passed: '', plain: '' };
  return { passed: Buffer.from(encoded).toString('base64'), plain: encoded };
}

function environment(line: string): Map<string, string> {
  const pairs = line.split(';').filter((pair) => pair.includes('='));
  return new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}
