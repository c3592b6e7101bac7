/** The two VMs of the tour, as a user has written their templates. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MadeImages } from '../images.ts';
import type { Layout } from '../layout.ts';
import type { VmRecord } from '../one/records.ts';

/** Names within Xen: VM_FQDN_TEMPLATE is %V.%U. */
export const shop = { id: 7, name: 'shop.alice' } as const;
export const appliance = { id: 8, name: 'mail.bob' } as const;

export function machinesOf(images: MadeImages): readonly VmRecord[] {
  const common = { state: 'HOLD', deployId: '', history: [] } as const;
  return [
    {
      ...common,
      id: shop.id,
      name: 'shop',
      user: 'alice',
      cpu: 1,
      vcpu: 2,
      memoryMb: 512,
      contextDisk: 3,
      disks: [
        { diskId: 0, target: 'xvda', sizeMb: images.system.sizeMb, imageId: images.system.id },
        { diskId: 1, target: 'xvdb', sizeMb: images.data.sizeMb, imageId: images.data.id },
        { diskId: 2, target: 'xvdc', sizeMb: 64, volatile: 'swap' },
      ],
      nics: [{ nicId: 0, mac: '02:00:0a:00:00:07', ip: '10.0.0.7', bridge: 'br0' }],
    },
    {
      ...common,
      id: appliance.id,
      name: 'mail',
      user: 'bob',
      cpu: 0.5,
      vcpu: 1,
      memoryMb: 256,
      contextDisk: 1,
      disks: [{ diskId: 0, target: 'xvda', sizeMb: images.appliance.sizeMb, imageId: images.appliance.id }],
      nics: [{ nicId: 0, mac: '02:00:0a:00:00:08', ip: '10.0.0.8', bridge: 'br0' }],
    },
  ];
}

/** context.sh, which oned writes for each VM. */
export function writeContexts(layout: Layout, machines: readonly VmRecord[]): void {
  for (const { id, name, nics } of machines) {
    const directory = join(layout.one, 'vms', String(id));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'context.sh'), `HOSTNAME='${name}'\nETH0_IP='${nics[0]?.ip ?? ''}'\n`);
  }
}
