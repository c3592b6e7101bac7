/** Small things of English. Pure. */

/** `1 VM`, `2 VMs` */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
