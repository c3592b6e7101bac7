import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { CxmError } from '../../../src/errors.ts';
import { domainName, templateNeeds } from '../../../src/one/domain/name.ts';
import { nameFault } from '../../../src/xen/domain-name.ts';
import { markedVmId, markerText } from '../../../src/one/domain/marker.ts';

const parts = { vmId: 12, userName: 'ann', vmName: 'web' };

describe('names of domains', () => {
  it.each([
    ['%V', 'web', 'web'],
    ['%V.%U.example.org', 'web', 'web.ann.example.org'],
    ['one-%I', 'whatever 日本', 'one-12'],
    ['%V-%I', 'Web Server (prod) #1', 'Web-Server-prod-1-12'],
    ['%V', 'Crème brûlée', 'Creme-brulee'],
    ['%V', 'Straße_Øst', 'Strasse-Ost'],
    ['%V', 'ﬁle－１', 'file-1'],
    ['%V', 'a..b.', 'a.b'],
    ['%V', '-a-.-b-', 'a.b'],
    ['%V', '%I', 'I'],
    ['%V', 'DB01.prod', 'DB01.prod'],
    ['%V', 'one-12', 'one-12'],
    ['%V', '10.0.0.1a', '10.0.0.1a'],
    ['%V.vms.example.com', '127.0.0.1', '127.0.0.1.vms.example.com'],
    ['%V', 'localhost.vms.example.com', 'localhost.vms.example.com'],
    ['%V', 'one-7.web', 'one-7.web'],
  ])('%s makes of %s the name %s', (template, vmName, name) => {
    expect(domainName(template, { ...parts, vmName })).toBe(name);
  });

  it.each([
    ['%V', '123', /number of a domain/],
    ['%I', 'web', /number of a domain/],
    ...['127.0.0.1', '127.1', '0x7f.1', '0X7F000001', '10.0.0.0x1', '192.168.0.300', '1.2.3.4.5'].map(
      (vmName): [string, string, RegExp] => ['%V', vmName, /IP address/],
    ),
    ...['localhost', 'LocalHost', 'web.localhost', 'localhost.localdomain', 'localhost6', 'ip6 loopback'].map(
      (vmName): [string, string, RegExp] => ['%V', vmName, /name of the host itself/],
    ),
    ['%V', 'one-7', /VM 7 is called by other drivers/],
    ['%V', 'Domain-0', /the host itself/],
    ['%V', 'domain 0', /the host itself/],
    ['%V', 'x--incoming', undefined],
    ['migrating-%V', 'x', /under migration/],
    ['%V--incoming', 'x', /under migration/],
    ['%V.cfg', 'x', /takes FQDN\.cfg/],
    ['%V%%', 'x', /letters, digits/],
    ['%V', 'x'.repeat(64), /longer than 63/],
    ['%V.%V.%V.%V.%V', 'x'.repeat(60), /longer than 253/],
  ])('%s with %s is refused, naming VM, name and template', (template, vmName, because) => {
    const name = (): string => domainName(template, { ...parts, vmName });
    if (because === undefined) {
      expect(name()).toBe('x-incoming');
      return;
    }
    expect(name).toThrow(CxmError);
    expect(name).toThrow(because);
    expect(name).toThrow(/VM 12 \(".*VM_FQDN_TEMPLATE "/);
  });

  it('says which part OpenNebula did not send', () => {
    expect(() => domainName('%V.%U', { vmId: 1, vmName: 'a', userName: undefined })).toThrow(/the name of its user/);
    expect(() => domainName('%V', { vmId: 1, vmName: undefined, userName: 'a' })).toThrow(/asks for its name/);
    expect(templateNeeds('%%U-%I')).toEqual({ userName: false, vmName: false });
    expect(templateNeeds('%V.%U')).toEqual({ userName: true, vmName: true });
  });

  it('is a valid name for any text, or refused', () => {
    const template = fc.constantFrom('%V', '%V-%I', '%V.%U.example.org', '%U--%V');
    fc.assert(
      fc.property(template, fc.string({ unit: 'binary' }), fc.string(), fc.nat(), (text, vmName, userName, vmId) => {
        let name: string;
        try {
          name = domainName(text, { vmId, userName, vmName });
        } catch (error) {
          return error instanceof CxmError && error.code === 'INVALID_INPUT';
        }
        return nameFault(name) === undefined && /^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name) && !name.includes('..');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the marker', () => {
  it('gives back the id it was made for', () => {
    fc.assert(fc.property(fc.nat(), (vmId) => markedVmId(`${markerText(vmId)}\nname = 'x'\n`) === vmId));
  });

  it.each([
    '',
    "name = 'one-7'",
    '#OpenNebula VM 7 (cxm)',
    '# OpenNebula VM 07 (cxm)',
    '# OpenNebula VM 7 (cxm) x',
    '\n# OpenNebula VM 7 (cxm)',
  ])('is not seen in %j', (text) => {
    expect(markedVmId(text)).toBeUndefined();
  });
});
