/** The help of cxmd_ctl, made of the table of its options. Pure. */
import { entry } from '../help.ts';
import type { Style } from '../style.ts';
import { actionOf, ctlActionNames, ctlExamples, ctlModifiers, usageOfAction, type CtlModifier } from './table.ts';

const widest = 100;

export function renderCtlHelp(style: Style): string {
  const width = Math.min(widest, style.width);
  const actions = ctlActionNames.map((name) => [usageOfAction(name), actionOf(name).meaning] as const);
  const modifiers = (Object.keys(ctlModifiers) as CtlModifier[]).map(
    (name) => [wordsOfModifier(name), ctlModifiers[name].meaning] as const,
  );
  const examples = ctlExamples.map(({ line, meaning }) => [line, meaning] as const);
  const column = Math.max(...[...actions, ...modifiers, ...examples].map(([words]) => words.length)) + 4;
  const lines = (all: readonly (readonly [string, string])[]): readonly string[] =>
    all.flatMap(([words, meaning]) => entry(words, meaning, column, width));
  return [
    `${style.paint('bold', 'cxmd_ctl')}: speaks with cxmd of this node`,
    '',
    'Usage: cxmd_ctl ACTION [OPTIONS]',
    '',
    style.paint('bold', 'Actions, exactly one'),
    ...lines(actions),
    '',
    style.paint('bold', 'Options'),
    ...lines(modifiers),
    '',
    style.paint('bold', 'Examples'),
    ...lines(examples),
    '',
  ].join('\n');
}

export function wordsOfModifier(name: CtlModifier): string {
  const { short } = ctlModifiers[name];
  return short === undefined ? `--${name}` : `-${short}, --${name}`;
}
