/**
 * The name of a VM within Xen, made from VM_FQDN_TEMPLATE. It is the name of the domain, of its configuration file and
 * of its autostart link, and what later calls carry as deploy id, so it is always a DNS name of letters, digits, `-`
 * and `.`, never something that xl, LVM or cxm takes for something else.
 *
 * What a user may call a VM is much wider: letters with accents lose them, every run of other ASCII characters becomes
 * one `-`. A name that can't be written so is refused rather than guessed. Two VMs that come to the same name are told
 * apart by the marker in the configuration file, and the second one is refused.
 */
import { CxmError } from '../../errors.ts';
import { newNameFault } from '../../xen/domain-name.ts';
import { shown } from './checks.ts';

export interface NameParts {
  readonly vmId: number;
  /** Undefined when nobody said it; then a template with %U is refused. */
  readonly userName: string | undefined;
  readonly vmName: string | undefined;
}

/** Letters that Unicode does not decompose. */
const transliterations: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  Æ: 'AE',
  œ: 'oe',
  Œ: 'OE',
  ø: 'o',
  Ø: 'O',
  đ: 'd',
  Đ: 'D',
  ł: 'l',
  Ł: 'L',
  ı: 'i',
  þ: 'th',
  Þ: 'TH',
  ð: 'd',
  Ð: 'D',
};

/** Which parts a template needs from the VM's document. */
export function templateNeeds(template: string): { readonly userName: boolean; readonly vmName: boolean } {
  const fields: readonly string[] = template.match(/%./g) ?? [];
  return { userName: fields.includes('%U'), vmName: fields.includes('%V') };
}

/**
 * The name of a VM.
 * @param template VM_FQDN_TEMPLATE: %U user, %V name of the VM, %I its id, %% a percent sign
 * @throws CxmError INVALID_INPUT naming the VM, its name and the template
 */
export function domainName(template: string, parts: NameParts): string {
  const name = template.replace(/%(.)/g, (field: string, letter: string) => {
    switch (letter) {
      case 'U':
        return sanitised(parts.userName, 'the name of its user', template, parts);
      case 'V':
        return sanitised(parts.vmName, 'its name', template, parts);
      case 'I':
        return String(parts.vmId);
      case '%':
        return '%';
      default:
        return field;
    }
  });
  const fault = newNameFault(name) ?? othersName(name, parts.vmId);
  if (fault === undefined) return name;
  const called = parts.vmName === undefined ? '' : ` (${shown(parts.vmName)})`;
  throw new CxmError(
    'INVALID_INPUT',
    `VM ${parts.vmId}${called} can't be named ${shown(name)}, which VM_FQDN_TEMPLATE ${shown(template)} makes of it: ${fault}`,
    { hint: 'rename the VM or change VM_FQDN_TEMPLATE, for instance to %V-%I' },
  );
}

/** Older drivers name VM 7 `one-7`, and by that name alone a domain without marks is taken for it. */
function othersName(name: string, vmId: number): string | undefined {
  const id = /^one-(0|[1-9]\d{0,8})$/.exec(name)?.[1];
  return id === undefined || Number(id) === vmId ? undefined : `so VM ${id} is called by other drivers`;
}

function sanitised(value: string | undefined, what: string, template: string, parts: NameParts): string {
  if (value === undefined) {
    throw new CxmError(
      'INVALID_INPUT',
      `VM ${parts.vmId} can't be named: VM_FQDN_TEMPLATE ${shown(template)} asks for ${what}, which OpenNebula did not send`,
      { hint: 'set ONE_HOST in cxmrc, or take a template of %I alone' },
    );
  }
  const ascii = [...value.normalize('NFKD').replace(/\p{M}/gu, '')]
    .map((letter) => transliterations[letter] ?? letter)
    .join('');
  const writable = /^[\x20-\x7e]*$/.test(ascii);
  const name = ascii
    .replace(/[^A-Za-z0-9.]+/g, '-')
    .split('.')
    .map((label) => label.replace(/^-+|-+$/g, ''))
    .filter((label) => label !== '')
    .join('.');
  if (writable && name !== '') return name;
  throw new CxmError(
    'INVALID_INPUT',
    `VM ${parts.vmId} can't be named after VM_FQDN_TEMPLATE ${shown(template)}: ${what}, ${shown(value)}, can't be written in the letters and digits of a DNS name`,
    { hint: 'rename it, or take a template of %I alone' },
  );
}
