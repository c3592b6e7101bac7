/**
 * The image document (`oneimage show -x`, IMAGE of datastore messages) and the two attributes that decide how large
 * the logical volume becomes and with which file system: the user's SIZE and FSTYPE of the image template. FSTYPE
 * became FORMAT and FS in 6.0; both spellings are read.
 */
import { CxmError } from '../../errors.ts';
import { childOf, integerOf, textOf } from './fields.ts';
import { isImageFormat } from './virtual-machine.ts';
import { parseXml, type XmlElement } from './xml.ts';

export interface Image {
  readonly id: number;
  readonly name: string | undefined;
  readonly user: string | undefined;
  /** 0 OS, 1 CDROM, 2 DATABLOCK, 3 KERNEL, 4 RAMDISK, 5 CONTEXT, 6 BACKUP. */
  readonly type: number | undefined;
  readonly persistent: boolean;
  /** What OpenNebula accounts for the image, MiB. */
  readonly sizeMb: number | undefined;
  readonly path: string | undefined;
  readonly source: string | undefined;
  readonly format: string | undefined;
  /** File system that OpenNebula knows: FS, else an FSTYPE that is no image format. */
  readonly fileSystem: string | undefined;
  readonly datastoreId: number | undefined;
  readonly datastore: string | undefined;
  /** TEMPLATE/SIZE as the user wrote it, in LVM's syntax (`8G`); not validated. */
  readonly sizeAttribute: string | undefined;
  /** TEMPLATE/FSTYPE as the user wrote it; not validated. */
  readonly fileSystemAttribute: string | undefined;
  readonly template: XmlElement | undefined;
}

/** @throws CxmError INVALID_INPUT */
export function parseImage(text: string, what = 'the image document'): Image {
  return imageOf(parseXml(text, what), what);
}

/** The image of `<IMAGE>` or of a document with one `<IMAGE>` below its root. @throws CxmError INVALID_INPUT */
export function imageOf(root: XmlElement, what = 'the image document'): Image {
  const image = root.name === 'IMAGE' ? root : childOf(root, 'IMAGE');
  const id = integerOf(image, 'ID');
  if (image === undefined || id === undefined) {
    throw new CxmError('INVALID_INPUT', `${what} has no IMAGE with an ID but <${root.name}>`);
  }
  const template = childOf(image, 'TEMPLATE');
  const type = textOf(image, 'FSTYPE');
  return {
    id,
    name: textOf(image, 'NAME'),
    user: textOf(image, 'UNAME'),
    type: integerOf(image, 'TYPE'),
    persistent: (integerOf(image, 'PERSISTENT') ?? 0) > 0,
    sizeMb: integerOf(image, 'SIZE'),
    path: textOf(image, 'PATH'),
    source: textOf(image, 'SOURCE'),
    format: textOf(image, 'FORMAT') ?? (type !== undefined && isImageFormat(type) ? type : undefined),
    fileSystem: textOf(image, 'FS') ?? (isImageFormat(type) ? undefined : type),
    datastoreId: integerOf(image, 'DATASTORE_ID'),
    datastore: textOf(image, 'DATASTORE'),
    sizeAttribute: textOf(template, 'SIZE'),
    fileSystemAttribute: textOf(template, 'FSTYPE'),
    template,
  };
}
