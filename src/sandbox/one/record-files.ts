/**
 * The memory of the stand-in for oned: one JSON file, replaced as a whole, and beside it the documents that the drivers
 * ask for with onevm, oneimage and onehost.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../file-lock.ts';
import { nodeKinds, type Layout } from '../layout.ts';
import { hostDocument, hostPoolDocument, imageDocument, vmDocument } from './documents.ts';
import type { Records } from './records.ts';

export function readRecords(layout: Layout): Records {
  return JSON.parse(readFileSync(join(layout.oned, 'records.json'), 'utf8')) as Records;
}

/** Writes the records and every document made of them. */
export function writeRecords(layout: Layout, records: Records): void {
  mkdirSync(layout.oned, { recursive: true });
  const write = (name: string, text: string): void => replaceFile(join(layout.oned, name), text);
  for (const vm of records.vms) write(`vm-${vm.id}.xml`, vmDocument(vm, records.images));
  for (const image of records.images) {
    write(`image-${image.id}.xml`, imageDocument(image, layout.datastores, records.vms));
  }
  for (const host of nodeKinds) write(`host-${host.name}.xml`, hostDocument(host));
  write('hosts.xml', hostPoolDocument(nodeKinds));
  write('records.json', `${JSON.stringify(records, null, 2)}\n`);
}
