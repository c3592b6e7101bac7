/**
 * What monitord sends to every probe on standard input: <MONITOR_CONFIGURATION> with the periods.
 * Probes work without it, so anything that is missing or out of bounds is its default.
 */
import { childOf } from '../documents/fields.ts';
import { parseXml, type XmlElement } from '../documents/xml.ts';
import { defaultDatastores } from './host-facts.ts';

export interface MonitorConfiguration {
  /** How often vm/status is to list all VMs. */
  readonly syncSeconds: number;
  readonly datastoreLocation: string;
}

const defaultSyncSeconds = 180;
const maxSyncSeconds = 24 * 3600;

/** @throws CxmError INVALID_INPUT for a document that is broken */
export function parseMonitorConfiguration(text: string): MonitorConfiguration {
  const root = text.trim() === '' ? undefined : parseXml(text, 'the configuration from monitord');
  const seconds = Number(value(childOf(root, 'PROBES_PERIOD'), 'SYNC_STATE_VM') || 'x');
  const location = value(root, 'DATASTORE_LOCATION');
  return {
    syncSeconds: seconds > 0 && seconds <= maxSyncSeconds ? seconds : defaultSyncSeconds,
    datastoreLocation: location.startsWith('/') ? location : defaultDatastores,
  };
}

function value(element: XmlElement | undefined, name: string): string {
  return childOf(element, name)?.text.trim() ?? '';
}
