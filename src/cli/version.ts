/** The version of cxm; the build writes that of package.json into its place. */
declare const __CXM_VERSION__: string | undefined;

export const version = typeof __CXM_VERSION__ === 'string' ? __CXM_VERSION__ : 'development';
