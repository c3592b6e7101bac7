/** What the probe scripts run: `probe WHAT ARGUMENTS...`. */
export { probe as action } from '../../../src/one/im/probe.ts';
