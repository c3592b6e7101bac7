/** What a VM that leaves with its directory leaves behind in root's directories of a host, on simulated hosts. */
import { chownSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { OperationContext } from '../../../src/agent/operation.ts';
import { directoryDestination, directorySource } from '../../../src/agent/operations/directory.ts';
import { owner, TestHosts, vmDocument } from '../../one/vmm/hosts.ts';

let hosts: TestHosts;
beforeAll(async () => {
  hosts = await TestHosts.make();
});
afterAll(() => hosts.end());
beforeEach(() => hosts.reset());

const config = '# OpenNebula VM 7 (cxm)\nname = "web-7"\n';
const mark = (id: number): string => config.replaceAll('7', String(id));

/** A VM that was saved on host a: configuration, autostart link, directory. */
function leaveVm(): void {
  hosts.writeConfig('a', 'web-7', config);
  const link = hosts.path('a', 'auto/web-7');
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join(hosts.configDirectory('a'), 'web-7'), link);
  hosts.makeDirectory(7);
}

/** OpenNebula 6.0 and later leave the document there. */
function leaveDocument(): void {
  const path = join(hosts.directory(7), 'vm.xml');
  writeFileSync(path, vmDocument(7));
  chownSync(path, owner.uid, owner.gid);
}

type Answer = (detail: Readonly<Record<string, unknown>>) => unknown;

function contextOf(name: 'a' | 'b', answer: Answer, settings: Readonly<Record<string, string>>): OperationContext {
  const never = (): never => {
    throw new Error('nothing is sent');
  };
  return {
    ...hosts.host(name, settings),
    fileSystems: undefined as never,
    withMetadataLock: never,
    ask: (_topic, detail = {}) => Promise.resolve(answer(detail)),
    ready: () => Promise.resolve(),
    incoming: never,
    sendData: never,
    sendExtent: never,
    sendEnd: never,
    rawInput: () => Promise.resolve(undefined),
    sendRaw: undefined,
  };
}

const vm = (): { directory: string; vmId: number } => ({ directory: hosts.directory(7), vmId: 7 });

/** The VM's directory, which both hosts see, goes from a to b, as the action has the helpers of both do it. */
async function move(settings: Readonly<Record<string, string>> = {}): Promise<void> {
  let seen: Readonly<Record<string, unknown>> = {};
  const source: Answer = async (detail) => {
    if (detail['configuration'] === true) return seen['sharedConfiguration'];
    const parameters = directoryDestination.parse({ ...vm(), ...detail });
    const destination: Answer = (found) => {
      seen = found;
      return 'nothing';
    };
    await directoryDestination.run(contextOf('b', destination, settings), parameters);
    expect(seen['shared']).toBe(true);
    return 'nothing';
  };
  await directorySource.run(contextOf('a', source, settings), vm());
  expect(readdirSync(hosts.path('a', 'auto'))).toEqual([]);
}

test('the configuration leaves the host with the VM, where the other has a directory of its own', async () => {
  leaveVm();
  leaveDocument();
  await move();
  expect(hosts.config('a', 'web-7')).toBeUndefined();
});

test('the same where no document lies in the directory, but the frontend can be asked', async () => {
  leaveVm();
  await move({ ONE_HOST: 'frontend' });
  expect(hosts.config('a', 'web-7')).toBeUndefined();
});

test('it stays where it is all that a restore has', async () => {
  leaveVm();
  await move();
  expect(hosts.config('a', 'web-7')).toBe(config);
});

test('it stays where both hosts have one directory of configurations', async () => {
  await hosts.reset({ sharedConfiguration: true });
  leaveVm();
  leaveDocument();
  await move();
  expect(hosts.config('a', 'web-7')).toBe(config);
});

test.each([
  ['of another VM', mark(8)],
  ['of nobody', 'name = "web-7"\n'],
])('one %s under the same name stays', async (_whose, text) => {
  leaveVm();
  leaveDocument();
  hosts.writeConfig('a', 'web-7', text);
  hosts.writeConfig('a', 'old-7', config);
  await directorySource.run(
    contextOf('a', () => undefined, {}),
    vm(),
  );
  const answer: Answer = (detail) => (detail['configuration'] === true ? false : 'nothing');
  await directorySource.run(contextOf('a', answer, {}), vm());
  expect(hosts.config('a', 'web-7')).toBe(text);
  expect(hosts.config('a', 'old-7')).toBeUndefined();
});

test('it stays while a domain of the VM is in the list', async () => {
  await hosts.addDisks(7, 0, 1);
  const parameters = { vmId: 7, directory: hosts.directory(7), deployment: vmDocument(7), document: undefined };
  const { deployId } = await hosts.manager('a').deploy(parameters);
  leaveDocument();
  const answer: Answer = (detail) => (detail['configuration'] === true ? false : 'nothing');
  await directorySource.run(contextOf('a', answer, {}), vm());
  expect(hosts.config('a', deployId)).toContain('# OpenNebula VM 7 ');
});

test('an action that does not know the question keeps it, and no probe is left', async () => {
  leaveVm();
  leaveDocument();
  await directorySource.run(
    contextOf('a', () => 'nothing', {}),
    vm(),
  );
  expect(hosts.config('a', 'web-7')).toBe(config);
  expect(existsSync(hosts.directory(7))).toBe(true);
  expect(readdirSync(hosts.configDirectory('a'))).toEqual(['web-7']);
});
