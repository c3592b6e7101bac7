/** Random bytes. Node's module for them is loaded when they are needed: it is a twentieth of the helper's start. */
export async function randomBytes(count: number): Promise<Buffer> {
  return (await import('node:crypto')).randomBytes(count);
}
