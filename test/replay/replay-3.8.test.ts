/** Every call that OpenNebula 3.8 made to its drivers, made to ours. */
import { describeReplay } from './describe.ts';

describeReplay('3.8');
