/**
 * The compound values of driver calls: `host:path` of a VM's directory and its disks, and image sources, which may
 * be a file of the frontend, a URL or a datastore's own word. That a path belongs to the VM of the
 * call is checked here: it ends in `/<vmid>/disk.<n>`, `/<vmid>/kernel` or `/<vmid>`.
 */
import { absolutePath, badValue, hostName, identifier, plainPath } from './values.ts';

/** A disk, the kernel or initrd, or the whole directory of a VM on a host. */
export type VmLocation =
  | {
      readonly kind: 'disk';
      readonly host: string;
      readonly path: string;
      /** The VM's directory, where `path` lies. */
      readonly directory: string;
      readonly diskId: number;
    }
  | {
      readonly kind: 'file';
      readonly host: string;
      readonly path: string;
      readonly directory: string;
      readonly name: 'kernel' | 'initrd';
    }
  | { readonly kind: 'directory'; readonly host: string; readonly path: string; readonly directory: string };

export type DiskLocation = Extract<VmLocation, { kind: 'disk' }>;
export type DirectoryLocation = Extract<VmLocation, { kind: 'directory' }>;

/** Where an image is. */
export type ImageSource =
  /** A file. `host` is the frontend as oned names it; missing when oned passed a bare path. */
  | { readonly kind: 'file'; readonly host: string | undefined; readonly path: string }
  | { readonly kind: 'url'; readonly url: string }
  /** A word that its datastore driver understands, such as `vg.lv-one-7`. */
  | { readonly kind: 'name'; readonly host: string | undefined; readonly name: string };

/** `host:path` for a path of VM `vmId`. @throws CxmError INVALID_INPUT */
export function vmLocation(value: string, what: string, vmId: number): VmLocation {
  const { host, rest } = splitHost(value, what);
  return vmPath(host, rest, what, vmId);
}

/** `host:.../<vmid>/disk.<n>`. @throws CxmError INVALID_INPUT */
export function diskLocation(value: string, what: string, vmId: number): DiskLocation {
  const location = vmLocation(value, what, vmId);
  if (location.kind === 'disk') return location;
  throw badValue(what, value, `HOST:PATH with a path that ends in /${vmId}/disk.N`);
}

/** `host:.../<vmid>`. @throws CxmError INVALID_INPUT */
export function directoryLocation(value: string, what: string, vmId: number): DirectoryLocation {
  const location = vmLocation(value, what, vmId);
  if (location.kind === 'directory') return location;
  throw badValue(what, value, `HOST:PATH with a path that ends in /${vmId}`);
}

/** A VM's directory without a host. @throws CxmError INVALID_INPUT */
export function vmDirectory(value: string, what: string, vmId: number): string {
  const path = plainPath(value, what);
  if (path.endsWith(`/${vmId}`)) return path;
  throw badValue(what, value, `the VM's directory, a path that ends in /${vmId}`);
}

/** A file of the VM's directory, such as `checkpoint`. @throws CxmError INVALID_INPUT */
export function vmFile(value: string, what: string, vmId: number, name: RegExp, example: string): string {
  const path = plainPath(value, what);
  const slash = path.lastIndexOf('/');
  if (path.slice(0, slash).endsWith(`/${vmId}`) && name.test(path.slice(slash + 1))) return path;
  throw badValue(what, value, `a path that ends in /${vmId}/${example}`);
}

/** A disk's path without a host. @throws CxmError INVALID_INPUT */
export function diskPath(value: string, what: string, vmId: number): { path: string; diskId: number } {
  const path = vmFile(value, what, vmId, /^disk\.[0-9]{1,10}$/, 'disk.N');
  return { path, diskId: identifier(path.slice(path.lastIndexOf('.') + 1), what) };
}

/**
 * An image source: `fe:/path`, `fe:vg.lv`, a bare path or word, or an http(s) URL with or without `fe:` before it.
 * @throws CxmError INVALID_INPUT
 */
export function imageSource(value: string, what: string): ImageSource {
  const url = /^(?:[A-Za-z0-9._-]+:)?(https?:\/\/.*)$/su.exec(value)?.[1];
  if (url !== undefined) return { kind: 'url', url: webAddress(url, what) };
  if (value.startsWith('/')) return { kind: 'file', host: undefined, path: absolutePath(value, what) };
  const colon = value.indexOf(':');
  const rest = value.slice(colon + 1);
  if (colon > 0 && rest.startsWith('/')) {
    return { kind: 'file', host: hostName(value.slice(0, colon), what), path: absolutePath(rest, what) };
  }
  // `fe:vg.lv` has one colon; `iqn.2012-01.org.x:vg.lv` and `pool:volume` look the same, and their drivers know.
  const host = colon > 0 ? hostName(value.slice(0, colon), what) : undefined;
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.+@/:-]{0,1023}$/.test(rest) || rest.split('/').includes('..')) {
    throw badValue(what, value, 'HOST:PATH, an http(s) URL or the name of a volume');
  }
  return { kind: 'name', host, name: rest };
}

/** An http or https URL, in the form in which it can be an argument. @throws CxmError INVALID_INPUT */
export function webAddress(value: string, what: string): string {
  const plain = value.length <= 4096 && /^https?:\/\/[A-Za-z0-9[][!-~]*$/.test(value) && !/["'`\\<>^{|}]/.test(value);
  const url = plain && URL.canParse(value) ? new URL(value) : undefined;
  if (url !== undefined && /^[A-Za-z0-9[]/.test(url.hostname)) return value;
  throw badValue(what, value, 'an http or https URL without blanks and quotes');
}

function splitHost(value: string, what: string): { host: string; rest: string } {
  const colon = value.indexOf(':');
  if (colon <= 0) throw badValue(what, value, 'HOST:PATH');
  return { host: hostName(value.slice(0, colon), `the host of ${what}`), rest: value.slice(colon + 1) };
}

function vmPath(host: string, value: string, what: string, vmId: number): VmLocation {
  const path = plainPath(value, what);
  if (path.endsWith(`/${vmId}`)) return { kind: 'directory', host, path, directory: path };
  const directory = path.slice(0, path.lastIndexOf('/'));
  const name = path.slice(directory.length + 1);
  if (directory.endsWith(`/${vmId}`)) {
    const disk = /^disk\.([0-9]{1,10})$/.exec(name)?.[1];
    if (disk !== undefined) return { kind: 'disk', host, path, directory, diskId: identifier(disk, what) };
    if (name === 'kernel' || name === 'initrd') return { kind: 'file', host, path, directory, name };
  }
  throw badValue(what, value, `a path that ends in /${vmId} or /${vmId}/disk.N`);
}
