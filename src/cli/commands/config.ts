/** `cxm config check|show`: cxm.conf as cxm reads it. */
import { cxmConfTable, type CxmConfKey } from '../../config/cxm-conf.ts';
import { cxmConfPath, type CxmConfFile } from '../../config/cxm-conf-file.ts';
import type { CommandBody } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';

export const config: CommandBody = (context) => {
  const file = context.environment.configuration();
  if (context.operand(0) === 'check') {
    const set = file.settings.size === 1 ? '1 key is set' : `${file.settings.size} keys are set`;
    const sentence = file.exists
      ? `${file.path} is right: ${set}.`
      : `There is no ${cxmConfPath}: every key has its default, and no node is named.`;
    context.answer(sentence, { path: file.path, exists: file.exists, keysSet: file.settings.size });
    return Promise.resolve(exitCodes.done);
  }
  const entries = entriesOf(file);
  if (context.options.json) context.json({ path: file.path, exists: file.exists, keys: entries });
  else {
    const columns = ['KEY', 'VALUE', 'FROM'].map((title) => ({ title }));
    context.table(
      columns,
      entries.map(({ key, value, origin }) => [key, shown(value), origin]),
    );
  }
  return Promise.resolve(exitCodes.done);
};

function entriesOf({ settings, configuration }: CxmConfFile) {
  const keys = Object.keys(cxmConfTable.keys) as CxmConfKey[];
  return keys.map((key) => ({
    key,
    value: configuration[key] ?? null,
    origin: settings.get(key)?.origin ?? 'default',
  }));
}

/** As it would stand in the file. */
function shown(value: unknown): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  return JSON.stringify(value);
}
