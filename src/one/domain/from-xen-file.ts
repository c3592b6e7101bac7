/**
 * oned's own Xen configuration (VM_MAD type "xen") as a description of the domain. RAW data and, through attributes
 * that oned did not escape, anything else a user wrote stands in it side by side with what oned generated, so no line is
 * believed for where it stands: each key oned generates passes the same door as the document's attribute, and all other
 * keys are RAW.
 */
import { CxmError } from '../../errors.ts';
import type { ConfigValue, DomainConfig } from '../../xen/config-file.ts';
import { bootOf } from './boot.ts';
import { clampWeight, maxMemoryMib, maxVcpus } from './capacity.ts';
import { refusal, targetDevice, uuidText, wholeNumber } from './checks.ts';
import type {
  DomainBoot,
  DomainDescription,
  DomainDisk,
  DomainGraphics,
  DomainSettings,
  GuestType,
} from './description.ts';
import { deviceModelVersion, graphicsOf, withoutRepetition } from './devices.ts';
import { requireSameVm, type Deployment } from './from-document.ts';
import { domainName } from './name.ts';
import { acceptedKeys, configWithoutRepetition, guestTypeIn } from './raw.ts';
import { nicsIn } from './xen-file-nics.ts';

/** Keys that oned's generator writes and that are read here one by one. */
const generated = new Set([
  'name',
  'memory',
  'vcpus',
  'kernel',
  'ramdisk',
  'root',
  'extra',
  'bootloader',
  'boot',
  'disk',
  'vif',
  'vfb',
  'uuid',
  'device_model',
  'localtime',
  'vnc',
  'vnclisten',
  'vncunused',
  'vncdisplay',
  'vncpasswd',
  'spice',
  'spicehost',
  'spiceport',
  'spicepasswd',
  'spicedisable_ticketing',
  'keymap',
]);

/** @throws CxmError INVALID_INPUT naming the VM and the line or attribute */
export function describeXenFile(text: string, deployment: Deployment, settings: DomainSettings): DomainDescription {
  const { vmId, document } = deployment;
  if (document !== undefined) requireSameVm(document, vmId);
  const config = configWithoutRepetition(text, `the deployment file of VM ${vmId}`);
  const guest = guestTypeIn(config, vmId) ?? (config.has('kernel') || config.has('bootloader') ? 'pv' : 'hvm');
  const graphics = graphicsIn(config, vmId, guest);
  const credits = /^#O CPU_CREDITS = (\d{1,9})$/m.exec(text)?.[1];
  const uuid = config.getString('uuid');
  return {
    vmId,
    name: domainName(settings.nameTemplate, { vmId, userName: document?.user, vmName: document?.name }),
    ...(uuid === undefined ? {} : { uuid: uuidText({ vmId, what: 'uuid' }, uuid) }),
    guest,
    memoryMib: wholeNumber({ vmId, what: 'memory' }, config.getString('memory') ?? '', 1, maxMemoryMib),
    vcpus: wholeNumber({ vmId, what: 'vcpus' }, config.getString('vcpus') ?? '1', 1, maxVcpus),
    ...(credits === undefined ? {} : { cpuWeight: clampWeight(Number(credits)) }),
    boot: bootIn(config, guest, deployment, settings),
    disks: disksIn(config, vmId, guest),
    nics: nicsIn(config, vmId, guest, document),
    ...(graphics === undefined ? {} : { graphics }),
    extras: extrasIn(config, vmId, settings),
  };
}

function bootIn(config: DomainConfig, guest: GuestType, deployment: Deployment, settings: DomainSettings): DomainBoot {
  const words = {
    kernel: config.getString('kernel'),
    ramdisk: config.getString('ramdisk'),
    root: config.getString('root'),
    extra: config.getString('extra'),
    bootloader: config.getString('bootloader'),
  };
  const boot = bootOf(words, guest, deployment, settings);
  const order = config.getString('boot') ?? 'cdn';
  if (guest !== 'hvm' || boot.kernel !== undefined) return boot;
  if (/^[acdn]{1,4}$/.test(order)) return { ...boot, order };
  throw refusal({ vmId: deployment.vmId, what: 'boot' }, order, 'letters of a, c, d and n');
}

function disksIn(config: DomainConfig, vmId: number, guest: GuestType): DomainDisk[] {
  const items = config.getList('disk') ?? [];
  return withoutRepetition(
    items.map((item) => diskIn(item, vmId, guest)),
    vmId,
  );
}

/**
 * `tap:aio:/var/lib/one/datastores/102/1/disk.0,xvda,w`. The prefix depends on oned's version and configuration, and
 * the path only has to say which disk of this VM is meant: both give way to the disk's volume.
 */
function diskIn(item: ConfigValue, vmId: number, guest: GuestType): DomainDisk {
  const text = typeof item === 'string' ? item : JSON.stringify(item);
  const match = /^(?:[a-z0-9]+:){0,3}(\/[^,]*),([^,:]+)(:cdrom)?,([rw])!?$/.exec(text.trim());
  const path = match?.[1] ?? '';
  const place = /\/(\d{1,10})\/disk\.(\d{1,9})$/.exec(path);
  if (match === null || place === null || Number(place[1]) !== vmId || path.split('/').includes('..')) {
    throw refusal(
      { vmId, what: 'a disk' },
      text,
      `a disk of this VM, like raw:/var/lib/one/datastores/0/${vmId}/disk.0,xvda,w`,
    );
  }
  const cdrom = match[3] !== undefined;
  return {
    diskId: Number(place[2]),
    target: targetDevice({ vmId, what: `the target of disk ${place[2]}` }, match[2] ?? ''),
    readonly: match[4] === 'r' || cdrom,
    cdrom: cdrom && guest === 'hvm',
  };
}

/** What oned writes into `vfb`; LISTEN, PASSWD and KEYMAP, a user's texts, stand there as they are. */
const frameBufferWords = new Set(['type', 'vnclisten', 'vncunused', 'vncdisplay', 'vncpasswd', 'keymap']);

/** Graphics stand in `vfb` for PV guests and in keys of their own for HVM ones. */
function graphicsIn(config: DomainConfig, vmId: number, guest: GuestType): DomainGraphics | undefined {
  const frameBuffers = config.getList('vfb') ?? [];
  if (frameBuffers.length > 1) throw new CxmError('INVALID_INPUT', `VM ${vmId} has more than one frame buffer`);
  const words = frameBuffers.length === 0 ? new Map<string, string>() : frameBufferIn(frameBuffers[0], vmId);
  for (const key of config.keys()) {
    if (!/^(vnc|spice)/.test(key) && key !== 'keymap') continue;
    if (words.has(key)) throw new CxmError('INVALID_INPUT', `VM ${vmId} has ${key} twice: in vfb and beside it`);
    words.set(key, config.getString(key) ?? '');
  }
  if (words.get('spice') === '1') return spiceIn(words, vmId, guest);
  if (words.get('vnc') !== '1' && !words.has('type')) return undefined;
  const display = words.get('vncdisplay');
  return graphicsOf(
    {
      type: words.get('type') ?? 'vnc',
      listen: words.get('vnclisten'),
      port: display === undefined ? undefined : 5900 + wholeNumber({ vmId, what: 'vncdisplay' }, display, 0, 59_635),
      password: words.get('vncpasswd'),
      keymap: words.get('keymap'),
    },
    vmId,
    guest,
  );
}

/** A word more or a second one of a kind comes out of a user's text. */
function frameBufferIn(item: ConfigValue | undefined, vmId: number): Map<string, string> {
  const text = typeof item === 'string' ? item : JSON.stringify(item);
  const words = new Map<string, string>();
  for (const piece of text.split(',')) {
    const equals = piece.indexOf('=');
    const name = piece.slice(0, Math.max(equals, 0)).trim();
    if (!frameBufferWords.has(name) || words.has(name)) {
      // The password may be in it, so the text is not shown.
      throw new CxmError('INVALID_INPUT', `VM ${vmId}: vfb is not as oned writes it, with each of its words once`, {
        hint: 'LISTEN, PASSWD and KEYMAP of GRAPHICS must have no comma and no quote',
      });
    }
    words.set(name, piece.slice(equals + 1).trim());
  }
  return words;
}

function spiceIn(words: ReadonlyMap<string, string>, vmId: number, guest: GuestType): DomainGraphics | undefined {
  const port = words.get('spiceport');
  return graphicsOf(
    {
      type: 'spice',
      listen: words.get('spicehost'),
      port: port === undefined ? undefined : wholeNumber({ vmId, what: 'spiceport' }, port, 5900, 65_535),
      password: words.get('spicepasswd'),
      keymap: words.get('keymap'),
    },
    vmId,
    guest,
  );
}

function extrasIn(config: DomainConfig, vmId: number, settings: DomainSettings): Map<string, ConfigValue> {
  const extras = acceptedKeys(config, vmId, settings.rawKeys, generated);
  const localtime = config.getString('localtime');
  if (localtime !== undefined) extras.set('localtime', /^(yes|1|true)$/i.test(localtime) ? 1 : 0);
  const deviceModel = config.getString('device_model');
  if (deviceModel !== undefined) extras.set('device_model_version', deviceModelVersion(deviceModel, vmId));
  return extras;
}
