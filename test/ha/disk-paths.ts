/**
 * The heartbeat disk as each node sees it: a loop device of its own over the same file, so that one node's path can fail
 * and the others' not. The kernel of many machines has no device mapper, whose `error` target would do the same: here the
 * device shrinks to one sector, so that every read and write of cxmd's blocks is an error, also of files that are open
 * already. Needs root, and Perl, which every Debian has, for the one call that losetup has no word for.
 *
 * Guarantees: what is written over one device is read over every other one, since reads and writes of loop devices go
 * through the one cache of the file. The devices are gone when nobody has them open any more.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';

interface Path {
  readonly device: string;
  /** Keeps the device, which is given back with its last user. */
  readonly descriptor: number;
}

/** loop(4): LOOP_GET_STATUS64, another lo_sizelimit (32 bytes behind the beginning; 0: none), LOOP_SET_STATUS64. */
const setSizeLimit = `
open(my $device, '+<', $ARGV[0]) or die "$ARGV[0]: $!";
my $status = "\\0" x 232;
ioctl($device, 0x4C05, $status) or die "its status can't be read: $!";
substr($status, 32, 8) = pack('Q', $ARGV[1]);
ioctl($device, 0x4C04, $status) or die "its size can't be set: $!";
`;

const sectorBytes = 512;

export class DiskPaths {
  private readonly paths = new Map<string, Path>();

  /** The device of a node, over this file from the first call on. */
  of(node: string, file: string): string {
    const known = this.paths.get(node);
    if (known !== undefined) return known.device;
    const device = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
    const descriptor = fs.openSync(device, 'r');
    this.paths.set(node, { device, descriptor });
    // While somebody has it open, this takes effect when nobody has any more.
    execFileSync('losetup', ['--detach', device]);
    return device;
  }

  setBroken(node: string, isBroken: boolean): void {
    const path = this.paths.get(node);
    if (path === undefined) throw new Error(`${node} has no disk`);
    execFileSync('perl', ['-e', setSizeLimit, path.device, String(isBroken ? sectorBytes : 0)]);
  }

  close(): void {
    for (const { descriptor } of this.paths.values()) fs.closeSync(descriptor);
    this.paths.clear();
  }
}
