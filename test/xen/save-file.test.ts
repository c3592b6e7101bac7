import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { formatSaveHead, parseSaveHead, saveHeadLength } from '../../src/xen/save-file.ts';
import { recording } from './recording.ts';

/** The domains that libxl 4.17 had, in the form in which it also saves them. */
const listed = JSON.parse(recording('xl-4.17-list-l-json').stdout) as { readonly config: object }[];

describe('the head of a saved domain', () => {
  it('says how the guest is virtualised and what it boots', () => {
    const head = formatSaveHead(listed[1]?.config ?? {});
    expect(parseSaveHead(Buffer.concat([head, Buffer.from('the guest')]))).toEqual({
      type: 'pv',
      kernel: '/srv/domu/vmlinuz',
      ramdisk: '/srv/domu/domu.img',
      commandLine: 'console=hvc0 labip=10.77.0.101/24 labname=vm1',
    });
    expect(saveHeadLength(head)).toBe(head.length);
  });

  it('is read as xl 4.17 has written it', () => {
    const saved = readFileSync(new URL('../fixtures/xen/xl-4.17-save-head.bin', import.meta.url));
    expect(parseSaveHead(saved)).toEqual({
      type: 'pv',
      kernel: '/boot/guest-kernel',
      ramdisk: '/boot/guest-initramfs',
      commandLine: 'console=hvc0 root=/dev/xvda quiet',
    });
    expect(saved.toString('latin1', saveHeadLength(saved))).toMatch(/^LibxlFmt/);
  });

  it('says it in the form of older versions, too', () => {
    const pv = { c_info: { type: 'pv' }, b_info: { 'type.pv': { bootloader: 'pygrub' } } };
    expect(parseSaveHead(formatSaveHead(pv))).toEqual({ type: 'pv', bootloader: 'pygrub' });
    expect(parseSaveHead(formatSaveHead({ c_info: { type: 'hvm' } }))).toEqual({ type: 'hvm' });
  });

  it('says nothing when it is cut off, damaged or of another form', () => {
    const head = formatSaveHead({ c_info: { type: 'pv' } });
    for (let length = 0; length < head.length; length += 1)
      expect(parseSaveHead(head.subarray(0, length))).toBeUndefined();
    expect(parseSaveHead(formatSaveHead({ c_info: { type: 'other' } }))).toBeUndefined();
    expect(parseSaveHead(formatSaveHead([null]))).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(head.length - 1), (bytes, offset) => {
        const damaged = Buffer.from(head);
        damaged.set(bytes.subarray(0, head.length - offset), offset);
        expect([undefined, 'pv', 'pvh', 'hvm']).toContain(parseSaveHead(damaged)?.type);
      }),
    );
  });
});
