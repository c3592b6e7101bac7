/**
 * The datastore document (DATASTORE of driver messages, `onedatastore show -x`), as far as the TM action `monitor`
 * needs it.
 */
import { CxmError } from '../../errors.ts';
import { childOf, integerOf, textOf } from './fields.ts';
import { parseXml, type XmlElement } from './xml.ts';

export interface Datastore {
  readonly id: number;
  readonly name: string | undefined;
  readonly dsMad: string | undefined;
  readonly tmMad: string | undefined;
  /** Directory on the frontend; of a system datastore also on the hosts. */
  readonly basePath: string | undefined;
  /** 0 image, 1 system, 2 file, 3 backup; 3.x writes SYSTEM instead. */
  readonly type: number | undefined;
  readonly template: XmlElement | undefined;
}

/** @throws CxmError INVALID_INPUT */
export function parseDatastore(text: string, what = 'the datastore document'): Datastore {
  return datastoreOf(parseXml(text, what), what);
}

/** The datastore of `<DATASTORE>` or of a document with one below its root. @throws CxmError INVALID_INPUT */
export function datastoreOf(root: XmlElement, what = 'the datastore document'): Datastore {
  const datastore = root.name === 'DATASTORE' ? root : childOf(root, 'DATASTORE');
  const id = integerOf(datastore, 'ID');
  if (datastore === undefined || id === undefined) {
    throw new CxmError('INVALID_INPUT', `${what} has no DATASTORE with an ID but <${root.name}>`);
  }
  return {
    id,
    name: textOf(datastore, 'NAME'),
    dsMad: textOf(datastore, 'DS_MAD'),
    tmMad: textOf(datastore, 'TM_MAD'),
    basePath: textOf(datastore, 'BASE_PATH'),
    type: integerOf(datastore, 'TYPE') ?? integerOf(datastore, 'SYSTEM'),
    template: childOf(datastore, 'TEMPLATE'),
  };
}
