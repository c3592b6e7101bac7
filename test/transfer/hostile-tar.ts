/** Archives that no honest tar would write, made byte by byte. */
import type { ErrorCode } from '../../src/errors.ts';

export interface TarMember {
  readonly name: string;
  readonly type?: string;
  readonly linkName?: string;
  readonly content?: Buffer;
  /** What the header says, if not the truth. */
  readonly sizeBytes?: number;
  readonly mode?: number;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
}

export function tarMember(member: TarMember): Buffer {
  const content = member.content ?? Buffer.alloc(0);
  const header = Buffer.alloc(512);
  header.write(member.name, 0, 100, 'latin1');
  header.write((member.mode ?? 0o644).toString(8).padStart(7, '0'), 100);
  header.write('0000000', 108);
  header.write('0000000', 116);
  const size = member.sizeBytes ?? content.length;
  if (size < 8 ** 11) header.write(size.toString(8).padStart(11, '0'), 124);
  else {
    header[124] = 0x80;
    header.writeBigUInt64BE(BigInt(size), 128);
  }
  header.write('14000000000', 136);
  header.write('        ', 148);
  header.write(member.type ?? '0', 156);
  header.write(member.linkName ?? '', 157, 100, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  header.write((member.deviceMajor ?? 0).toString(8).padStart(7, '0'), 329);
  header.write((member.deviceMinor ?? 0).toString(8).padStart(7, '0'), 337);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

const evil = Buffer.from('evil');

/** Name, archive, and how unpacking must end. */
export function hostileArchives(victim: string, outside: string): [string, Buffer, 'unpacks' | 'either' | ErrorCode][] {
  const up = '../'.repeat(12);
  const archive = (...members: TarMember[]): Buffer => Buffer.concat([...members.map(tarMember), Buffer.alloc(1024)]);
  return [
    ['an absolute name', archive({ name: victim, content: evil }), 'unpacks'],
    ['a name with ..', archive({ name: `${up}${victim.slice(1)}`, content: evil }), 'INVALID_INPUT'],
    ['.. in the middle', archive({ name: `./a/${up}${victim.slice(1)}`, content: evil }), 'INVALID_INPUT'],
    [
      'a symbolic link to / and a file through it',
      archive({ name: './link', type: '2', linkName: '/' }, { name: `./link${victim}`, content: evil }),
      'INVALID_INPUT',
    ],
    [
      'a relative symbolic link out and a file through it',
      archive({ name: './link', type: '2', linkName: up }, { name: `./link${victim}`, content: evil }),
      'INVALID_INPUT',
    ],
    [
      'a symbolic link onto a victim and a file of its name',
      archive({ name: './link', type: '2', linkName: `${outside}/victim` }, { name: './link', content: evil }),
      'unpacks',
    ],
    [
      'a chain of symbolic links',
      archive(
        { name: './a', type: '2', linkName: '..' },
        { name: './b', type: '2', linkName: 'a/..' },
        { name: './c', type: '2', linkName: `b/../../..${outside}` },
        { name: './c/victim', content: evil },
      ),
      'INVALID_INPUT',
    ],
    [
      'a hard link to an absolute name and a write to it',
      archive({ name: './hard', type: '1', linkName: `${outside}/victim` }, { name: './hard', content: evil }),
      'INVALID_INPUT',
    ],
    [
      'a hard link through a symbolic link',
      archive(
        { name: './up', type: '2', linkName: up },
        { name: './hard', type: '1', linkName: `./up${outside}/victim` },
        { name: './hard', content: evil },
      ),
      'INVALID_INPUT',
    ],
    [
      'a hard link to /etc/shadow',
      archive({ name: './shadow', type: '1', linkName: '../../../etc/shadow' }),
      'INVALID_INPUT',
    ],
    [
      'a mode for a directory outside through a link',
      archive({ name: './link', type: '2', linkName: outside }, { name: './link/', type: '5', mode: 0o777 }),
      // tar may take the directory for the place that it keeps for the link, when its inode is the same.
      'either',
    ],
    ['names like options', archive({ name: '--checkpoint-action=exec=sh', content: evil }), 'unpacks'],
    ['a name that steers a terminal', archive({ name: './\x1b]0;evil\x07\n../x', content: evil }), 'unpacks'],
    ['an unknown type of member', archive({ name: './odd', type: 'Q', content: evil }), 'unpacks'],
    [
      'the root as a file',
      archive({ name: './', content: evil }, { name: '.', type: '2', linkName: '/' }),
      'INVALID_INPUT',
    ],
  ];
}
