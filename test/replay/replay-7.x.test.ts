/** Every call that OpenNebula 7.x made to its drivers, made to ours. */
import { describeReplay } from './describe.ts';

describeReplay('7.x');
