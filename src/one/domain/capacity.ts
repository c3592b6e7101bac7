/**
 * Memory, CPUs and pinning of a VM from its document, at deploy and for a live resize. Bounds are those of xl; what
 * oned lets a running VM grow to (MEMORY_MAX, VCPU_MAX, since 6.0) becomes the domain's maximum.
 */
import { childOf, childrenNamed, textOf } from '../documents/fields.ts';
import type { VirtualMachine } from '../documents/virtual-machine.ts';
import { cpuList, refusal, wholeNumber } from './checks.ts';

export interface Capacity {
  readonly memoryMib: number;
  readonly maxMemoryMib?: number;
  readonly vcpus: number;
  readonly maxVcpus?: number;
  readonly cpuWeight: number;
  readonly cpus?: string;
}

/** 64 TiB. */
export const maxMemoryMib = 64 * 1024 * 1024;
export const maxVcpus = 512;
/** Of the credit schedulers (xl sched-credit2). */
const maxWeight = 65_535;

/** @throws CxmError INVALID_INPUT */
export function capacityOf(vm: VirtualMachine, vmId: number, cpuCredit: number): Capacity {
  const memoryMib = bounded(vmId, 'MEMORY', vm.memoryMb, maxMemoryMib);
  const vcpus = vm.vcpu === undefined ? 1 : bounded(vmId, 'VCPU', vm.vcpu, maxVcpus);
  const mostMemory = maximum(vm, vmId, 'MEMORY_MAX', maxMemoryMib, memoryMib);
  const mostVcpus = maximum(vm, vmId, 'VCPU_MAX', maxVcpus, vcpus);
  const cpus = pinnedCpus(vm, vmId);
  return {
    memoryMib,
    ...(mostMemory === undefined ? {} : { maxMemoryMib: mostMemory }),
    vcpus,
    ...(mostVcpus === undefined ? {} : { maxVcpus: mostVcpus }),
    cpuWeight: cpuWeight(vm.cpu ?? 1, cpuCredit),
    ...(cpus === undefined ? {} : { cpus }),
  };
}

/** The scheduler's weight for so many CPUs. */
export function cpuWeight(cpu: number, cpuCredit: number): number {
  return clampWeight(Math.ceil(cpu * cpuCredit));
}

export function clampWeight(weight: number): number {
  return Math.min(Math.max(weight, 1), maxWeight);
}

function bounded(vmId: number, what: string, value: number | undefined, max: number): number {
  if (value !== undefined && value >= 1 && value <= max) return value;
  throw refusal({ vmId, what }, value === undefined ? '' : String(value), `a whole number from 1 to ${max}`);
}

function maximum(vm: VirtualMachine, vmId: number, what: string, max: number, current: number): number | undefined {
  const text = textOf(vm.template, what);
  if (text === undefined) return undefined;
  const value = wholeNumber({ vmId, what }, text, 0, max);
  return value > current ? value : undefined;
}

/** CPUs that oned's scheduler chose for a VM with a pin policy (TOPOLOGY, since 5.10). */
function pinnedCpus(vm: VirtualMachine, vmId: number): string | undefined {
  const policy = textOf(childOf(vm.template, 'TOPOLOGY'), 'PIN_POLICY')?.toUpperCase();
  if (policy === undefined || policy === 'NONE') return undefined;
  const lists = childrenNamed(vm.template, 'NUMA_NODE').flatMap((node) => textOf(node, 'CPUS') ?? []);
  return lists.length === 0 ? undefined : cpuList({ vmId, what: 'NUMA_NODE CPUS' }, lists.join(','));
}
