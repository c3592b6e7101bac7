/**
 * What a table of configuration keys is made of. One table a file: cxmrc.ts for the drivers, cxm-conf.ts for the
 * cluster. Reading (load.ts), example files and references (render.ts) work on any table.
 */
import type { ValueType } from './types.ts';

export interface KeySchema<T> {
  readonly type: ValueType<T>;
  /** As it would stand in the file; `None`: the key may be without a value; undefined: the key must be set. */
  readonly fallback: string | undefined;
  /** What it means, in one or more sentences. */
  readonly meaning: string;
  /** Heading under which the key stands in the example and the reference; keys of one group stand together. */
  readonly group: string;
}

export type KeySchemas = Readonly<Record<string, KeySchema<unknown>>>;

export interface ConfigurationTable<K extends KeySchemas> {
  /** As people call the file. */
  readonly name: string;
  /**
   * `shell`: quotes are a matter of taste, as in cxmrc. `python`: quotes make a string, so a bare word is a number,
   * True, False or None and nothing else, as in cxm.conf.
   */
  readonly literals: 'shell' | 'python';
  readonly keys: K;
  /** What no single key can tell: the first key whose value does not go with the others'. */
  contradictionIn?(configuration: ConfigurationOf<K>): Contradiction | undefined;
}

export interface Contradiction {
  readonly key: string;
  /** As the end of a sentence that begins with the key. */
  readonly problem: string;
}

/** A complete, validated configuration. */
export type ConfigurationOf<K extends KeySchemas> = {
  readonly [N in keyof K]: K[N] extends KeySchema<infer T> ? T : never;
};
