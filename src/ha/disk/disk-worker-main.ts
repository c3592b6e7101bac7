/** Entry of the thread's program, which the build makes a text inside cxmd. */
import { runDiskWorker } from './disk-worker.ts';
import { takePriority } from './io-priority.ts';

takePriority();
runDiskWorker();
