/** What a host may be called: as ssh and the resolver take it, never an option, a path or a pattern. */

const pattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?$/;

export function isHostName(name: string): boolean {
  return pattern.test(name);
}

/** Which of the cluster's nodes a machine is: the one of its host name, in full or up to the first dot; else that name. Pure. */
export function nodeNameAmong(hostName: string, nodes: readonly string[]): string {
  const short = (name: string): string => name.split('.')[0]?.toLowerCase() ?? '';
  const exact = nodes.find((node) => node.toLowerCase() === hostName.toLowerCase());
  if (exact !== undefined) return exact;
  const alike = nodes.filter((node) => short(node) === short(hostName));
  const oneIsShort = alike.filter((node) => !node.includes('.') || !hostName.includes('.'));
  const [only, another] = oneIsShort;
  return only === undefined || another !== undefined ? hostName : only;
}
