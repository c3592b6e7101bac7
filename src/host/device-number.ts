/** Where the kernel tells about a device: by its number, since names are anybody's. */

/**
 * @param rdev as stat(2) has it; Linux' numbering is that of sys/sysmacros.h
 * @returns a directory, as /sys/dev/block/8:0
 */
export function deviceDirectory(kind: 'block' | 'char', rdev: number): string {
  const major = Math.floor(rdev / 256) % 4096;
  const minor = (rdev % 256) + Math.floor(rdev / 2 ** 20) * 256;
  return `/sys/dev/${kind}/${major}:${minor}`;
}
