import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CxmError } from '../../src/errors.ts';
import { blockDeviceOf, formatDiskSpec, parseDiskSpec } from '../../src/xen/disk.ts';
import type { DiskSpec } from '../../src/xen/disk.ts';
import { formatNicSpec, nicParameters, parseNicSpec } from '../../src/xen/nic.ts';

const plain = { format: 'raw', access: 'rw', deviceType: 'disk' } as const;

describe('a disk', () => {
  it.each<[string, Partial<DiskSpec>]>([
    ['phy:/dev/vg/lv,xvda,w', { ...plain, target: '/dev/vg/lv', vdev: 'xvda', prefix: 'phy' }],
    ['phy:/dev/vg/lv,hdc:cdrom,r', { ...plain, target: '/dev/vg/lv', vdev: 'hdc', access: 'ro', deviceType: 'cdrom' }],
    ['tap:aio:/srv/x.img,xvda,w', { ...plain, target: '/srv/x.img', vdev: 'xvda', prefix: 'tap:aio' }],
    ['tap:qcow2:/srv/x.img,xvda,r', { ...plain, format: 'qcow2', target: '/srv/x.img', vdev: 'xvda', access: 'ro' }],
    ['file:/srv/x.img,sda1,w', { ...plain, target: '/srv/x.img', vdev: 'sda1', prefix: 'file' }],
    ['raw:/dev/vg/lv,xvda,w', { ...plain, target: '/dev/vg/lv', vdev: 'xvda', prefix: 'raw' }],
    ['/dev/vg/lv,raw,xvda,rw', { ...plain, target: '/dev/vg/lv', vdev: 'xvda' }],
    ['/dev/vg/lv,,xvda', { ...plain, target: '/dev/vg/lv', vdev: 'xvda' }],
    ['format=raw, vdev=xvda, access=rw, target=/dev/vg/lv', { ...plain, target: '/dev/vg/lv', vdev: 'xvda' }],
    ['vdev=xvda,access=r,target=/a,b,c', { ...plain, access: 'ro', target: '/a,b,c', vdev: 'xvda' }],
    [',hdc:cdrom,r', { format: 'empty', target: '', vdev: 'hdc', access: 'ro', deviceType: 'cdrom' }],
    ['devtype=cdrom,vdev=hdc,format=empty', { format: 'empty', target: '', vdev: 'hdc', deviceType: 'cdrom' }],
    [
      '/a,raw,xvda,w,backendtype=phy,discard,colo-port=1',
      { backendType: 'phy', discard: true, otherParameters: ['colo-port=1'] },
    ],
  ])('is read from %j', (text, expected) => {
    expect(parseDiskSpec(text)).toMatchObject(expected);
  });

  it.each([
    '',
    'phy:/dev/vg/lv',
    'phy:/dev/vg/lv,xvda,maybe',
    'phy:/dev/vg/lv,xvda,w,more',
    'zfs:/x,xvda,w',
    '/a,raw,xvda,w,nonsense=1',
    '/a,ext4,xvda',
    'vdev=xvda,vdev=xvdb,target=/a',
    'vdev=xvda',
    '/a,raw,hdc:floppy,r',
  ])('is refused as %j', (text) => {
    expect(() => parseDiskSpec(text)).toThrow(CxmError);
  });

  it('is a block device only where it can be a logical volume', () => {
    const device = (text: string): string | undefined => blockDeviceOf(parseDiskSpec(text));
    expect(device('phy:/dev/vg/lv,xvda,w')).toBe('/dev/vg/lv');
    expect(device('phy:vg/lv,xvda,w')).toBe('/dev/vg/lv');
    expect(device('vdev=xvda,target=/dev/vg/lv')).toBe('/dev/vg/lv');
    expect(device('file:/dev/vg/lv,xvda,w')).toBeUndefined();
    expect(device('tap:aio:/dev/vg/lv,xvda,w')).toBeUndefined();
    expect(device('vdev=xvda,format=qcow2,target=/dev/vg/lv')).toBeUndefined();
    expect(device('vdev=xvda,backend=storage,target=/dev/vg/lv')).toBeUndefined();
    expect(device('vdev=xvda,script=block-drbd,target=/dev/vg/lv')).toBeUndefined();
    expect(device('/srv/x.img,raw,xvda')).toBeUndefined();
    expect(device(',hdc:cdrom,r')).toBeUndefined();
  });

  it('comes back the same after it was written, or is refused', () => {
    const part = fc.stringMatching(/^[ -~]{1,12}$/);
    const spec: fc.Arbitrary<DiskSpec> = fc.record(
      {
        target: part,
        vdev: part,
        format: fc.constantFrom('raw', 'qcow2', 'vhd'),
        access: fc.constantFrom('rw', 'ro'),
        deviceType: fc.constant('disk'),
        backendType: fc.constantFrom('phy', 'qdisk'),
        backend: part,
        script: part,
        discard: fc.boolean(),
      },
      { requiredKeys: ['target', 'vdev', 'format', 'access', 'deviceType'] },
    );
    fc.assert(
      fc.property(spec, (disk) => {
        let text: string;
        try {
          text = formatDiskSpec(disk);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_INPUT' });
          return;
        }
        expect(parseDiskSpec(text)).toEqual(disk);
      }),
      { numRuns: 500 },
    );
  });

  it('with a control character or a comma in a parameter is not written', () => {
    const disk = parseDiskSpec('phy:/dev/vg/lv,xvda,w');
    expect(() => formatDiskSpec({ ...disk, target: '/dev/vg/lv\n' })).toThrow(CxmError);
    expect(() => formatDiskSpec({ ...disk, vdev: 'xvda,script=/tmp/x' })).toThrow(CxmError);
    expect(formatDiskSpec(disk)).toBe('format=raw, vdev=xvda, access=rw, target=/dev/vg/lv');
  });
});

describe('a network interface', () => {
  it('is read with what xl knows, and keeps the rest', () => {
    const text =
      'mac=00:16:3E:0:1:2, bridge=xenbr0,type=ioemu, model=e1000,ip=10.0.0.1 10.0.0.2,vifname=v,rate=1MB/s@20ms,script=s,mtu=9000,trusted';
    expect(parseNicSpec(text)).toEqual({
      mac: '00:16:3e:00:01:02',
      bridge: 'xenbr0',
      type: 'ioemu',
      model: 'e1000',
      ip: '10.0.0.1 10.0.0.2',
      vifname: 'v',
      rate: '1MB/s@20ms',
      script: 's',
      otherParameters: ['mtu=9000', 'trusted'],
    });
    expect(parseNicSpec('')).toEqual({});
    expect(parseNicSpec(formatNicSpec(parseNicSpec(text)))).toEqual(parseNicSpec(text));
  });

  it.each(['mac=00:16:3e', 'mac=zz:16:3e:00:01:02', 'type=token'])('is refused as %j', (text) => {
    expect(() => parseNicSpec(text)).toThrow(CxmError);
  });

  it('is written as parameters that stay parameters', () => {
    expect(nicParameters({ mac: '00:16:3e:77:01:01', bridge: 'xenbr0' })).toEqual([
      'mac=00:16:3e:77:01:01',
      'bridge=xenbr0',
    ]);
    for (const bridge of ['a,script=/tmp/x', 'a\nb', '', ' a']) {
      expect(() => nicParameters({ bridge })).toThrow(CxmError);
    }
    expect(() => nicParameters({ mac: '00:16:3E:77:01:01, script=x' })).toThrow(CxmError);
    expect(() => nicParameters({ otherParameters: ['--help'] })).toThrow(CxmError);
  });
});
