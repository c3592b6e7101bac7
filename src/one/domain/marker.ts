/**
 * The first lines of a configuration file of ours. The first one names the VM: by it deploy tells its own file from
 * another VM's, one-migrate finds the VM of a domain that moved, and later calls find the domain of a VM whatever
 * deploy id OpenNebula has kept. A file without it belongs to somebody else and is never touched.
 */

const markerPattern = /^# OpenNebula VM (0|[1-9][0-9]{0,9}) \(cxm\)\r?$/;

/** The header, with a newline at its end. */
export function markerText(vmId: number): string {
  return `# OpenNebula VM ${vmId} (cxm)\n# Written by the cxm drivers at each deploy: a change made here lasts until then.\n`;
}

/** The id of the VM that a configuration file belongs to; undefined for a file that is not ours. */
export function markedVmId(text: string): number | undefined {
  const end = text.indexOf('\n');
  const match = markerPattern.exec(end < 0 ? text : text.slice(0, end));
  return match?.[1] === undefined ? undefined : Number(match[1]);
}
