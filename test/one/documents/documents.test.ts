import { describe, expect, it } from 'vitest';
import { parseActionData } from '../../../src/one/documents/action-data.ts';
import { parseDatastore } from '../../../src/one/documents/datastore.ts';
import { childOf, textOf } from '../../../src/one/documents/fields.ts';
import { parseHost, parseHosts } from '../../../src/one/documents/host.ts';
import { parseImage } from '../../../src/one/documents/image.ts';
import { readPayload } from '../../../src/one/documents/payload.ts';
import { diskWithId, parseVirtualMachine } from '../../../src/one/documents/virtual-machine.ts';
import { parseXml } from '../../../src/one/documents/xml.ts';
import { oneVersions, recordedFile, recording, recordings } from '../../support/recordings.ts';

describe('VM documents', () => {
  it('of 3.8 (`onevm show -x`)', () => {
    const vm = parseVirtualMachine(recordedFile('3.8', 'onevm-show-x.xml'));
    expect(vm).toMatchObject({
      id: 8,
      name: 'probevm',
      user: 'oneadmin',
      deployId: 'one-8',
      state: 3,
      lcmState: 3,
      cpu: 0.5,
      vcpu: 2,
      memoryMb: 256,
      context: { diskId: 3, target: 'hda' },
      graphics: { type: 'vnc', listen: '0.0.0.0', port: 5908 },
      raw: [{ type: 'xen', data: "on_crash='destroy'" }],
      operatingSystem: { kernel: '/boot/vmlinuz', root: 'xvda1', kernelCommandLine: 'ro console=hvc0' },
    });
    expect(vm.history.map((record) => record.host)).toEqual(['host01', 'host02']);
    expect(vm.disks).toMatchObject([
      {
        diskId: 0,
        source: 'probevg.lv-one-0',
        imageId: 0,
        clone: true,
        sizeMb: undefined,
        target: 'xvda',
        type: 'FILE',
      },
      { diskId: 1, type: 'fs', fileSystem: 'ext3', sizeMb: 100, source: undefined },
      { diskId: 2, type: 'swap', fileSystem: undefined, sizeMb: 64 },
    ]);
    expect(vm.nics).toMatchObject([{ mac: '02:00:0a:63:00:01', ip: '10.99.0.1', bridge: 'br0', nicId: undefined }]);
  });

  it('of 7.x, where the file system of a volatile disk has an attribute of its own', () => {
    const vm = parseVirtualMachine(recordedFile('7.x', 'onevm-show-x.xml'));
    expect(vm).toMatchObject({ id: 13, features: { acpi: true, pae: undefined }, deployId: 'one-13-deployid' });
    expect(diskWithId(vm, 0)).toMatchObject({ format: 'raw', fileSystem: undefined, sizeMb: 64, originalSizeMb: 64 });
    expect(diskWithId(vm, 1)).toMatchObject({ format: 'raw', fileSystem: 'ext4', type: 'fs' });
    expect(diskWithId(vm, 9)).toBeUndefined();
    expect(vm.nics[0]).toMatchObject({ nicId: 0, target: 'one-13-0', vnMad: 'dummy' });
  });

  it('of 3.8 as a bare template, which names the VM in VMID', () => {
    const vm = parseVirtualMachine(recordedFile('3.8', 'xml-deployment.0'));
    expect(vm).toMatchObject({ id: 6, name: 'probevm', user: undefined, deployId: undefined, history: [] });
    expect(vm.disks).toHaveLength(3);
  });

  it('of 7.x as a deployment file', () => {
    expect(parseVirtualMachine(recordedFile('7.x', 'xml-deployment.0'))).toMatchObject({ id: 1, deployId: undefined });
  });

  it('keep what users typed: numbers stay text, blanks stay, entities become characters', () => {
    const vm = parseVirtualMachine(
      '<VM><ID>7</ID><NAME>0012</NAME><UNAME>1e5</UNAME><TEMPLATE><A> x &lt;&#65;&#x42;&amp;lt; </A><B><![CDATA[&amp;<c>]]></B></TEMPLATE></VM>',
    );
    expect(vm).toMatchObject({ name: '0012', user: '1e5' });
    expect(textOf(vm.template, 'A')).toBe(' x <AB&lt; ');
    expect(textOf(vm.template, 'B')).toBe('&amp;<c>');
  });

  it('mark the disk and the interface that are attached', () => {
    const message = parseActionData(recording('3.8', 52).argv[4] ?? '');
    expect(message.vm.disks.filter((disk) => disk.attach)).toMatchObject([{ diskId: 5, target: 'sda', imageId: 2 }]);
    expect(message).toMatchObject({ host: 'host02', deployId: 'one-1', datastore: undefined });
  });

  it('sort the history by its sequence', () => {
    const history = ['2,c', '0,a', '10,d', '1,b']
      .map((pair) => pair.split(','))
      .map(([seq, host]) => `<HISTORY><SEQ>${seq}</SEQ><HOSTNAME>${host}</HOSTNAME></HISTORY>`)
      .join('');
    const vm = parseVirtualMachine(`<VM><TEMPLATE/><HISTORY_RECORDS>${history}</HISTORY_RECORDS></VM>`);
    expect(vm.history.map((record) => record.host).join('')).toBe('abcd');
  });
});

describe('every recorded document', () => {
  it.each(oneVersions)('of %s can be read, raw, in base64 and broken into lines', (version) => {
    let count = 0;
    for (const call of recordings(version)) {
      if (call.document === undefined || call.driver === 'datastore') continue;
      const root = parseXml(call.document, call.file);
      if (root.name === 'DS_DRIVER_ACTION_DATA') continue;
      count += 1;
      const vm = parseVirtualMachine(call.document, call.file);
      expect(vm.disks.length, call.file).toBeGreaterThan(0);
      const encoded = Buffer.from(call.document)
        .toString('base64')
        .replace(/(.{76})/g, '$1\r\n');
      expect(readPayload(`${encoded}\n`, call.file)).toEqual({ kind: 'xml', text: call.document });
    }
    expect(count).toBeGreaterThan(version === '3.8' ? 10 : 80);
  });
});

describe('other documents', () => {
  it('images of 7.x', () => {
    const document = recording('7.x', 10).document ?? '';
    expect(parseImage(document)).toMatchObject({
      id: 1,
      name: 'os1',
      sizeMb: 64,
      path: '/etc/hosts',
      source: undefined,
      datastoreId: 102,
      persistent: false,
      sizeAttribute: undefined,
    });
    expect(parseDatastore(document)).toMatchObject({ id: 102, name: 'pimg' });
  });

  it('images of 3.8 have their file system in FSTYPE', () => {
    expect(parseImage(recording('3.8', 5).document ?? '')).toMatchObject({
      id: 2,
      fileSystem: 'ext3',
      format: undefined,
    });
  });

  it('images may have SIZE and FSTYPE in their template', () => {
    const image = parseImage(
      '<IMAGE><ID>1</ID><FSTYPE>raw</FSTYPE><TEMPLATE><SIZE>8G</SIZE><FSTYPE>xfs</FSTYPE></TEMPLATE></IMAGE>',
    );
    expect(image).toMatchObject({
      sizeAttribute: '8G',
      fileSystemAttribute: 'xfs',
      format: 'raw',
      fileSystem: undefined,
    });
  });

  it.each(oneVersions)('hosts of %s', (version) => {
    const text = recordedFile(version, 'onehost-show-x.xml');
    const host = parseHost(text);
    expect(host).toMatchObject({ id: 1, name: 'host01', state: 2 });
    expect(parseHosts(`<HOST_POOL>${text}</HOST_POOL>`)).toEqual([host]);
    expect(parseHosts('<HOST_POOL/>')).toEqual([]);
  });
});

describe('payloads', () => {
  it('are recognised', () => {
    expect(readPayload('', 'x')).toEqual({ kind: 'empty' });
    expect(readPayload(' \n', 'x')).toEqual({ kind: 'empty' });
    expect(readPayload('\ufeff<VM/>', 'x')).toEqual({ kind: 'xml', text: '<VM/>' });
    expect(readPayload("name = 'one-1'\n", 'x')).toEqual({ kind: 'xen', text: "name = 'one-1'\n" });
    expect(readPayload("#O CPU_CREDITS = 1\nname='x'", 'x').kind).toBe('xen');
    expect(readPayload(Buffer.from("name = 'one-1'").toString('base64'), 'x').kind).toBe('xen');
    expect(readPayload(Buffer.from('<VM/>').toString('base64'), 'x')).toEqual({ kind: 'xml', text: '<VM/>' });
  });

  it.each(oneVersions)('of type xen are recognised as %s writes them', (version) => {
    const text = recordedFile(version, 'xen-deployment.0');
    expect(readPayload(text, 'x')).toEqual({ kind: 'xen', text });
    expect(readPayload(Buffer.from(text).toString('base64'), 'x')).toEqual({ kind: 'xen', text });
  });

  it('are refused when they are neither', () => {
    for (const text of ['hello', 'AAAA', 'QUJD', '\0', Buffer.from([0xff, 0xfe, 0x3c]).toString('base64')]) {
      expect(() => readPayload(text, 'the input'), text).toThrow(/^the input is neither XML nor/);
    }
  });
});

describe('trees', () => {
  it('keep repeated elements and CDATA in pieces', () => {
    const root = parseXml('<a><b>1</b><b>2</b><c><![CDATA[x]]>y<![CDATA[z]]></c><!-- <!DOCTYPE --></a>', 'x');
    expect(root.children.map((child) => child.text)).toEqual(['1', '2', 'xyz']);
    expect(childOf(root, 'b')?.text).toBe('1');
    expect(childOf(root, 'toString')).toBeUndefined();
  });
});
