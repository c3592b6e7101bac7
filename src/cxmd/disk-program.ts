/** The disk thread's program as a text, which the build puts into its place. */
declare const __CXMD_DISK_PROGRAM__: string | undefined;

export const diskProgram = typeof __CXMD_DISK_PROGRAM__ === 'string' ? __CXMD_DISK_PROGRAM__ : '';
