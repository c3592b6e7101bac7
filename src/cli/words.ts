/** Small things of English. Pure. */

/** `1 VM`, `2 VMs` */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** `1 of 1 VM has`, `1 of 2 VMs have` */
export function partOf(part: number, all: number, noun: string, auxiliary: 'has' | 'was'): string {
  const plural = { has: 'have', was: 'were' }[auxiliary];
  return `${part} of ${count(all, noun)} ${all === 1 ? auxiliary : plural}`;
}
