/**
 * From the name of a domain to the id of its VM: deploy marks each configuration file of its own with the id, and a
 * domain that is called `one-<id>` says it itself. Anything else is no VM of OpenNebula and none of our business.
 */
import { markedVmId } from '../domain/marker.ts';

/** Names that cxm and Xen allow; no path step, no option. */
export function isDomainName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}$/.test(name);
}

/** Where the configuration of a domain may be, the most likely first. */
export function configurationFiles(directory: string, name: string): readonly string[] {
  return [`${directory}/${name}`, `${directory}/${name}.cfg`];
}

/**
 * The VM's id, undefined for a domain that is none of OpenNebula's.
 * @param texts of the configuration files that exist
 */
export function vmIdOf(name: string, texts: readonly string[]): number | undefined {
  for (const text of texts) {
    const id = markedVmId(text);
    if (id !== undefined) return id;
  }
  const digits = /^one-(0|[1-9][0-9]{0,9})$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
