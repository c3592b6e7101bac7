/** hooks/one-migrate as a program: arguments, exit codes, syslog. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { frontend, running } from './hook-rig.ts';

describe('the program', () => {
  const tsx = fileURLToPath(new URL('../../../node_modules/.bin/tsx', import.meta.url));
  const program = fileURLToPath(new URL('../../../hooks/one-migrate.ts', import.meta.url));
  const run = async (...argv: string[]): Promise<{ code: number; stderr: string }> => {
    const configuration = join(frontend.directory, 'cxmrc');
    writeFileSync(
      configuration,
      `ONE_HOST="front"\nONE_RETRY_TIMEOUT="1"\nCFG_DIR="${join(frontend.directory, 'vm')}"\n`,
    );
    const env = { ...process.env, PATH: frontend.path, CXM_CONFIGURATION: configuration };
    try {
      const { stderr } = await promisify(execFile)(tsx, [program, ...argv], { env });
      return { code: 0, stderr };
    } catch (error) {
      const { code, stderr } = error as { code: number; stderr: string };
      return { code, stderr };
    }
  };

  it('tells OpenNebula, writes what it did to syslog and ends with 0', async () => {
    frontend.setVm(7, running('host01'));
    expect(await run('one-7', 'host01', 'host02')).toEqual({ code: 0, stderr: '' });
    expect(frontend.vm(7).hosts).toEqual(['host01', 'host02']);
    expect(frontend.syslog()).toContain(
      'VM 7 (one-7) moved from host01 to host02: it is RUNNING at host01; running onevm migrate --live 7 host02',
    );
  });

  it('ends with 0 and leaves OpenNebula alone when the VM has moved on', async () => {
    frontend.setSight('host02', 'absent');
    frontend.setVm(7, { state: 3, lcmState: 16, hosts: ['host01'] });
    const configuration = "# OpenNebula VM 7 (cxm)\ndisk = ['phy:/dev/VG0/lv-one-7-0,xvda,w']\n";
    writeFileSync(join(frontend.directory, 'vm', 'one-7'), configuration);
    expect(await run('one-7', 'host01', 'host02')).toEqual({ code: 0, stderr: '' });
    expect(frontend.orders()).toEqual([]);
    expect(frontend.syslog().at(-1)).toMatch(/: overtaken: it does not run on host02 any more/);
  });

  it('gives up with one clear line and ends with 1', async () => {
    frontend.setReachable('no ssh');
    const { code, stderr } = await run('one-7', 'host01', 'host02');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^one-migrate: OpenNebula was not told within 1 s that VM 7 .*\[TIMEOUT\]\n$/);
    expect(frontend.syslog().at(-1)).toMatch(/given up: OpenNebula was not told/);
  });

  it('ends with 0 for a VM that is none of OpenNebula', async () => {
    expect(await run('mail', 'host01', 'host02')).toEqual({ code: 0, stderr: '' });
  });
});
